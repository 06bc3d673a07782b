import type {ConditionReason, ScopeAttachStatus, ScopeTarget} from '@scope/api';
import {isReason} from '@scope/api';
import {REASON_TABLE} from '@scope/core';
import type {ConditionChange} from '@scope/kube';
import {withConditions} from '@scope/kube';
import type {ReconcileContext} from './reconcile-context';
import {lookAgainAfter} from './reconcile-context';
import {progressOf} from './target-progress';

/** As many kinds of failure as a status lists. */
const MAX_FAILURES = 8;

type Failure = NonNullable<ScopeAttachStatus['failures']>[number];
type Pods = NonNullable<ScopeAttachStatus['pods']>;

interface Summary {
  readonly pods: Pods;
  readonly processes: NonNullable<ScopeAttachStatus['processes']>;
  readonly failures: readonly Failure[];
  /** Targets that agents still have to let go of. */
  readonly leaving: number;
}

/** The status of an object, from its targets. Pure but for the moment to look again, which it leaves in the context. */
export function summarize(context: ReconcileContext): ScopeAttachStatus {
  const {attach, now} = context;
  const summary = summaryOf(context);
  const {generation} = attach.metadata;
  return {
    ...(generation !== undefined && {observedGeneration: generation}),
    startTime: context.startTime,
    ...(context.expiresAt !== undefined && {expiresAt: context.expiresAt}),
    ...(context.completionTime !== undefined && {completionTime: context.completionTime}),
    conditions: withConditions(attach.status?.conditions, conditionsOf(context, summary), generation, now),
    pods: summary.pods,
    processes: summary.processes,
    ...(summary.failures.length > 0 && {failures: [...summary.failures]}),
  };
}

function summaryOf(context: ReconcileContext): Summary {
  const staying = context.targets.filter(target => target.metadata.deletionTimestamp === undefined);
  const leaving = context.targets.length - staying.length;
  const pods = {matched: context.desired.length, scoped: 0, pending: 0, failed: 0};
  const processes = {scoped: 0, failed: 0};
  const failures = new Map<string, Failure>();
  for (const target of staying) {
    const {progress, until, failure} = progressOf(target, context.now);
    pods[progress] += 1;
    processes.scoped += target.status?.counts?.scoped ?? 0;
    processes.failed += target.status?.counts?.failed ?? 0;
    if (until !== undefined) lookAgainAfter(context, until - context.now);
    if (failure !== undefined) count(failures, failure.reason, failure.message);
    countProcesses(failures, target);
  }
  // Just asked for, not yet seen by our copy.
  pods.pending += Math.max(0, pods.matched - staying.length);
  const worst = [...failures.values()].sort((a, b) => b.count - a.count || a.reason.localeCompare(b.reason));
  return {pods, processes, failures: worst.slice(0, MAX_FAILURES), leaving};
}

function countProcesses(failures: Map<string, Failure>, target: ScopeTarget): void {
  for (const entry of target.status?.processes ?? []) {
    if (entry.state !== 'Failed') continue;
    const where = `pod ${target.spec.podName}, container ${entry.container}, process ${entry.pid} (${entry.name})`;
    count(failures, entry.reason ?? 'InternalError', `${where}: ${entry.message ?? ''}`.slice(0, 1024));
  }
}

function count(failures: Map<string, Failure>, reason: string, example: string): void {
  const known = failures.get(reason);
  failures.set(reason, {reason, count: (known?.count ?? 0) + 1, example: known?.example ?? example});
}

function conditionsOf(context: ReconcileContext, summary: Summary): ConditionChange[] {
  const ready = readyOf(context, summary);
  const {pods, leaving, failures} = summary;
  const busy = pods.pending + leaving;
  const [worst] = failures;
  const stalled =
    worst !== undefined && isReason(worst.reason) && REASON_TABLE[worst.reason].disposition === 'stall'
      ? worst
      : undefined;
  return [
    {type: 'Ready', ...ready},
    busy > 0
      ? {
          type: 'Reconciling',
          status: 'True',
          reason: ready.reason,
          message: `Agents are at work on ${pluralPods(busy)}.`,
        }
      : {type: 'Reconciling', status: 'False', reason: 'Settled', message: 'No work is left.'},
    stalled !== undefined && busy === 0
      ? {type: 'Stalled', status: 'True', reason: stalled.reason, message: adviceFor(stalled)}
      : {type: 'Stalled', status: 'False', reason: 'Settled', message: 'Nothing needs a person.'},
  ];
}

function readyOf(
  {pause, notFound}: ReconcileContext,
  {pods, failures, leaving}: Summary,
): Omit<ConditionChange, 'type'> {
  const no = (reason: ConditionReason, message: string): Omit<ConditionChange, 'type'> => ({
    status: 'False',
    reason,
    message,
  });
  const rest = leaving > 0 ? ` Agents still let go of ${pluralPods(leaving)}.` : '';
  if (pause === 'Detaching') return no('Detaching', `Deletion was asked for.${rest}`);
  if (pause === 'DeadlineExceeded') return no('DeadlineExceeded', `activeDeadlineSeconds are over.${rest}`);
  if (pause === 'Suspended') return no('Suspended', `\`suspend\` is true.${rest}`);
  if (notFound !== undefined) return no('TargetNotFound', `There is no ${notFound} here; waiting for it.`);
  if (pods.matched === 0) return no('NoMatchingPods', 'No running pod matches; waiting for one.');
  if (pods.scoped === pods.matched) {
    return {status: 'True', reason: 'Scoped', message: `${pluralPods(pods.scoped)} of ${pods.matched} scoped.`};
  }
  const [worst] = failures;
  if (pods.pending > 0 || worst === undefined) {
    return no('Attaching', `${pluralPods(pods.scoped)} of ${pods.matched} scoped, ${pods.pending} to come.`);
  }
  const message = `${pluralPods(pods.failed)} of ${pods.matched} could not be scoped: ${worst.example}`;
  return pods.scoped > 0 ? no('PartlyScoped', message) : {status: 'False', reason: worst.reason, message};
}

const pluralPods = (count: number): string => `${count} pod${count === 1 ? '' : 's'}`;

const adviceFor = (failure: Failure): string => {
  const advice = isReason(failure.reason) ? REASON_TABLE[failure.reason].advice : '';
  return `${failure.example} ${advice}`.trim();
};
