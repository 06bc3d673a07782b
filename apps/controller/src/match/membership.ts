import type {AnyScopeAttach} from '@scope/api';
import type {Pod} from '@scope/kube';
import type {ClusterView} from '../cluster-view';
import {matchesSelector} from './label-selector';
import type {WorkloadPods} from './workload-pods';

/** The pods an object is about now. */
export interface Membership {
  readonly pods: readonly Pod[];
  /** What the spec names and the cluster doesn't have: `pod checkout-1`. */
  readonly notFound?: string;
  /** Set when this may be out of date: so many milliseconds from now it is worth looking again. */
  readonly againAfterMs?: number;
}

/** Running, placed on a node, and not on its way out. */
export function isScopable(pod: Pod): boolean {
  return (
    pod.status?.phase === 'Running' &&
    pod.spec?.nodeName !== undefined &&
    pod.metadata.uid !== undefined &&
    pod.metadata.deletionTimestamp === undefined
  );
}

/** Finds the pods that the spec means among those of the view. Rejects with KubeRequestError. */
export async function membershipOf(
  attach: AnyScopeAttach,
  view: ClusterView,
  workloads: WorkloadPods,
): Promise<Membership> {
  if (attach.kind === 'ClusterScopeAttach') {
    const {namespaceSelector, selector} = attach.spec.target;
    const pods = view
      .namespaces()
      .filter(namespace => matchesSelector(namespaceSelector, namespace.metadata.labels))
      .flatMap(namespace => view.podsIn(namespace.metadata.name))
      .filter(pod => matchesSelector(selector, pod.metadata.labels));
    return {pods: pods.filter(isScopable)};
  }
  const {podName, workloadRef, selector} = attach.spec.target;
  const pods = view.podsIn(attach.metadata.namespace ?? '').filter(isScopable);
  if (podName !== undefined) {
    const named = pods.filter(pod => pod.metadata.name === podName);
    return named.length > 0 ? {pods: named} : {pods: [], notFound: `running pod ${podName}`};
  }
  if (workloadRef !== undefined) {
    const {belongs, ...again} = await workloads.of(attach.metadata.namespace ?? '', workloadRef);
    return belongs === undefined
      ? {pods: [], notFound: `${workloadRef.kind} ${workloadRef.name}`, ...again}
      : {pods: pods.filter(belongs), ...again};
  }
  return {pods: selector === undefined ? [] : pods.filter(pod => matchesSelector(selector, pod.metadata.labels))};
}
