import {membershipOf} from '../match/membership';
import {desiredTarget} from '../target/desired-target';
import type {ReconcileContext, ReconcileTools, StepResult} from './reconcile-context';
import {lookAgainAfter} from './reconcile-context';

/** Which targets there should be: one per matching pod, none while paused. */
export async function membershipStep(context: ReconcileContext, tools: ReconcileTools): Promise<StepResult> {
  if (context.pause !== undefined) return 'go on';
  const {pods, notFound, againAfterMs} = await membershipOf(context.attach, tools.view, tools.workloads);
  if (notFound !== undefined) context.notFound = notFound;
  if (againAfterMs !== undefined) lookAgainAfter(context, againAfterMs);
  context.desired = pods.flatMap(pod => desiredTarget(context.attach, pod) ?? []);
  return 'go on';
}
