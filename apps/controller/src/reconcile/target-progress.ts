import type {Reason, ScopeTarget} from '@scope/api';
import {findCondition} from '@scope/kube';

/** How far one target is. */
export type Progress = 'scoped' | 'pending' | 'failed';

/** A target that no agent has said anything about for so long has none. */
export const AGENT_SILENT_MS = 30_000;

export interface TargetProgress {
  readonly progress: Progress;
  /** Moment (milliseconds since 1970) at which this changes by itself. */
  readonly until?: number;
  readonly failure?: {readonly reason: Reason; readonly message: string};
}

export function progressOf(target: ScopeTarget, now: number): TargetProgress {
  const ready = findCondition(target.status?.conditions, 'Ready');
  if (ready === undefined) {
    const silentAt = Date.parse(target.metadata.creationTimestamp ?? '') + AGENT_SILENT_MS;
    if (Number.isNaN(silentAt) || now < silentAt)
      return {progress: 'pending', ...(silentAt > now && {until: silentAt})};
    const {nodeName, podName} = target.spec;
    const message = `No agent answers on node ${nodeName}, where pod ${podName} runs: check the DaemonSet's pod there.`;
    return {progress: 'failed', failure: {reason: 'AgentUnavailable', message}};
  }
  if (ready.status === 'True' && target.status?.observedGeneration === target.metadata.generation) {
    return {progress: 'scoped'};
  }
  return {progress: (target.status?.counts?.failed ?? 0) > 0 ? 'failed' : 'pending'};
}
