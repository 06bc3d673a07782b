import type {KubeObject} from '@scope/kube';

/** The parts of a DaemonSet (apps/v1) that say where its pods run. */
export interface AgentSet extends KubeObject {
  readonly spec?: {
    readonly template?: {readonly spec?: {readonly nodeSelector?: Readonly<Record<string, string>>}};
  };
}

/**
 * Whether a set makes another pod on the node once one of its pods has ended: it is there, is not being deleted, and
 * still means nodes like this one. Where that can't be known, there is none.
 */
export function comesAgain(set: AgentSet | undefined, node: KubeObject | undefined): boolean {
  if (set?.spec === undefined || node === undefined) return false;
  if (set.metadata.deletionTimestamp !== undefined || node.metadata.deletionTimestamp !== undefined) return false;
  const labels = node.metadata.labels ?? {};
  const wanted = Object.entries(set.spec.template?.spec?.nodeSelector ?? {});
  return wanted.every(([label, value]) => labels[label] === value);
}
