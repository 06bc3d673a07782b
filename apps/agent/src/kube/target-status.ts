import type {ProcessCounts, ScopeTargetStatus} from '@scope/api';
import {MAX_PROCESS_ENTRIES} from '@scope/api';
import type {ConditionChange} from '@scope/kube';
import {withConditions} from '@scope/kube';
import type {TrackedProcess} from './tracked-process';
import {entryOf} from './tracked-process';

export interface TargetFacts {
  readonly generation: number | undefined;
  readonly tracked: readonly TrackedProcess[];
  /** Deletion was asked for and nothing is left. */
  readonly detached: boolean;
  /** The spec itself can't be carried out. */
  readonly refusal?: {readonly reason: string; readonly message: string};
}

/** The status of a target. `before` is the one to follow: conditions keep the moment at which they changed. */
export function targetStatus(
  facts: TargetFacts,
  before: ScopeTargetStatus | undefined,
  now: number,
): ScopeTargetStatus {
  const counts = countsOf(facts.tracked);
  return {
    ...(facts.generation !== undefined && {observedGeneration: facts.generation}),
    conditions: withConditions(before?.conditions, conditionsOf(facts, counts), facts.generation, now),
    counts,
    processes: entriesOf(facts.tracked).map(entryOf),
  };
}

function countsOf(tracked: readonly TrackedProcess[]): ProcessCounts {
  const counts = {pending: 0, scoped: 0, failed: 0, detached: 0, exited: 0};
  for (const {state} of tracked) counts[countName[state]] += 1;
  return counts;
}

const countName = {
  Pending: 'pending',
  Scoped: 'scoped',
  Failed: 'failed',
  Detached: 'detached',
  Exited: 'exited',
} as const;

/** Failed ones first, then those changed last; one per container and id, since an id is used again: the newest. */
function entriesOf(tracked: readonly TrackedProcess[]): readonly TrackedProcess[] {
  const newest = new Map<string, TrackedProcess>();
  for (const one of [...tracked].sort((a, b) => a.since - b.since)) {
    newest.set(`${one.process.container.name}/${one.process.containerPid}`, one);
  }
  const failedFirst = (one: TrackedProcess): number => (one.state === 'Failed' ? 0 : 1);
  return [...newest.values()]
    .sort((a, b) => failedFirst(a) - failedFirst(b) || b.since - a.since || a.process.pid - b.process.pid)
    .slice(0, MAX_PROCESS_ENTRIES);
}

function conditionsOf(facts: TargetFacts, counts: ProcessCounts): ConditionChange[] {
  return [
    {type: 'Ready', ...readyOf(facts, counts)},
    facts.detached
      ? {type: 'Detached', status: 'True', reason: 'Detached', message: 'Nothing of this pod is scoped any more.'}
      : {
          type: 'Detached',
          status: 'False',
          reason: 'Attaching',
          message: 'Processes of this pod are scoped or will be.',
        },
  ];
}

function readyOf(facts: TargetFacts, counts: ProcessCounts): Omit<ConditionChange, 'type'> {
  const no = (reason: string, message: string): Omit<ConditionChange, 'type'> => ({status: 'False', reason, message});
  if (facts.detached) return no('Detached', 'Detached, as asked.');
  if (facts.refusal !== undefined) return no(facts.refusal.reason, facts.refusal.message);
  if (counts.failed > 0) {
    const failed = facts.tracked.filter(({state}) => state === 'Failed');
    const first = failed[0];
    const message = `${counts.failed} of ${counts.failed + counts.scoped + counts.pending} processes could not be scoped.`;
    return no(first?.reason ?? 'InternalError', `${message} ${first?.message ?? ''}`.trim());
  }
  if (counts.pending > 0) return no('Attaching', `${counts.pending} processes to come.`);
  if (counts.scoped === 0) return no('NoMatchingProcesses', 'No process of the containers passes the filters.');
  const partly = facts.tracked.filter(({state, reason}) => state === 'Scoped' && reason !== undefined);
  const unseen = partly.length === 0 ? '' : ` ${partly.length} of them in part: ${partly[0]?.message ?? ''}`;
  return {status: 'True', reason: 'Scoped', message: `${counts.scoped} processes are scoped.${unseen}`};
}
