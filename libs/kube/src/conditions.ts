import type {Condition, ConditionType} from '@scope/api';

/** What is to be said; generation and moment are filled in. */
export interface ConditionChange {
  readonly type: ConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** metav1 allows 32768 characters; nobody reads that many. */
const MAX_MESSAGE = 1024;

/**
 * The conditions with `changes` set: lastTransitionTime moves only when `status` does (metav1.Condition), every
 * condition says which generation it is about. `now` in milliseconds since 1970.
 */
export function withConditions(
  current: readonly Condition[] | undefined,
  changes: readonly ConditionChange[],
  generation: number | undefined,
  now: number,
): Condition[] {
  const byType = new Map((current ?? []).map(condition => [condition.type, condition]));
  for (const change of changes) {
    const before = byType.get(change.type);
    byType.set(change.type, {
      ...change,
      message: change.message.slice(0, MAX_MESSAGE),
      ...(generation !== undefined && {observedGeneration: generation}),
      lastTransitionTime: before?.status === change.status ? before.lastTransitionTime : rfc3339(now),
    });
  }
  return [...byType.values()];
}

export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: ConditionType,
): Condition | undefined {
  return conditions?.find(condition => condition.type === type);
}

/** metav1.Time: whole seconds, UTC. */
export function rfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
