import type {AnyScopeAttach, ConditionReason, ScopeTarget} from '@scope/api';
import type {Clock} from '@scope/core';
import type {EventRecorder, ResourceClient} from '@scope/kube';
import type {AttachKey} from '../attach-key';
import type {ClusterView} from '../cluster-view';
import type {WorkloadPods} from '../match/workload-pods';
import type {DesiredTarget} from '../target/desired-target';

/** What the steps work with. */
export interface ReconcileTools {
  readonly view: ClusterView;
  readonly workloads: WorkloadPods;
  readonly attaches: Readonly<Record<AnyScopeAttach['kind'], ResourceClient<AnyScopeAttach>>>;
  readonly targets: ResourceClient<ScopeTarget>;
  readonly events: EventRecorder;
  /** Whether the cluster still has that node. */
  readonly nodeExists: (name: string) => Promise<boolean>;
  readonly clock: Clock;
}

/** Why nothing is wished to be scoped although the object exists. */
export type Pause = Extract<ConditionReason, 'Suspended' | 'DeadlineExceeded' | 'Detaching'>;

/** One pass over one object; the steps fill it in. */
export interface ReconcileContext {
  readonly key: AttachKey;
  readonly attach: AnyScopeAttach;
  /** Milliseconds since 1970, the same through the whole pass. */
  readonly now: number;
  /** Those that exist, by name and namespace. */
  readonly targets: readonly ScopeTarget[];
  /** Those that should exist. Empty while paused. */
  desired: readonly DesiredTarget[];
  pause?: Pause;
  /** What the spec names and the cluster doesn't have. */
  notFound?: string;
  startTime: string;
  expiresAt?: string;
  completionTime?: string;
  /** The earliest moment at which to look again, in milliseconds from now. */
  againAfterMs?: number;
}

/** `stop`: what follows makes no sense any more, and there is no status left to write. */
export type StepResult = 'go on' | 'stop';
export type Step = (context: ReconcileContext, tools: ReconcileTools) => Promise<StepResult>;

export function lookAgainAfter(context: ReconcileContext, ms: number): void {
  context.againAfterMs = Math.max(0, Math.min(context.againAfterMs ?? Infinity, ms));
}
