import {rfc3339} from '@scope/kube';
import type {ReconcileContext, ReconcileTools, StepResult} from './reconcile-context';
import {lookAgainAfter} from './reconcile-context';

/** Start, deadline, end, and the end's end: activeDeadlineSeconds, suspend, ttlSecondsAfterFinished. */
export async function lifetimeStep(context: ReconcileContext, tools: ReconcileTools): Promise<StepResult> {
  if (context.pause !== undefined) return 'go on';
  const {attach, now} = context;
  const {activeDeadlineSeconds, ttlSecondsAfterFinished, suspend} = attach.spec;
  const expires =
    activeDeadlineSeconds === undefined ? undefined : Date.parse(context.startTime) + activeDeadlineSeconds * 1000;
  if (expires === undefined || now < expires) {
    if (suspend === true) context.pause = 'Suspended';
    if (expires !== undefined) {
      context.expiresAt = rfc3339(expires);
      lookAgainAfter(context, expires - now);
    }
    // A deadline that was moved out begins a new life.
    delete context.completionTime;
    return 'go on';
  }
  context.pause = 'DeadlineExceeded';
  context.expiresAt = rfc3339(expires);
  context.completionTime ??= rfc3339(now);
  if (ttlSecondsAfterFinished === undefined) return 'go on';
  const vanishes = Date.parse(context.completionTime) + ttlSecondsAfterFinished * 1000;
  if (now >= vanishes) await tools.attaches[attach.kind].delete(attach.metadata, attach.metadata.uid);
  else lookAgainAfter(context, vanishes - now);
  return 'go on';
}
