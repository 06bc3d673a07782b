/** Types of the conditions that the three kinds bear. Ready is good when True; Reconciling and Stalled are bad. */
export type ConditionType = 'Ready' | 'Reconciling' | 'Stalled' | 'Detached';

/**
 * Reasons of conditions that are not failures (those use Reason). A closed list: docs/api explains each.
 * `Ready` bears one of these or, when it is False because of failures, the most frequent failure's Reason.
 */
export const CONDITION_REASONS = [
  /** Every matched pod is scoped. */
  'Scoped',
  /** Some pods are scoped, some failed. */
  'PartlyScoped',
  /** Agents are at work. */
  'Attaching',
  /** No running pod matches. */
  'NoMatchingPods',
  /** The named pod or workload does not exist. */
  'TargetNotFound',
  /** `suspend` is true. */
  'Suspended',
  /** activeDeadlineSeconds are over. */
  'DeadlineExceeded',
  /** Deletion was asked for; agents are letting go. */
  'Detaching',
  /** Nothing is scoped any more. */
  'Detached',
  /** A chosen pod has no process that passes the filters. */
  'NoMatchingProcesses',
  /** The object says what it should and no work is left. */
  'Settled',
] as const;

export type ConditionReason = (typeof CONDITION_REASONS)[number];
