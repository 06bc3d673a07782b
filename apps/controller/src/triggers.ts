import type {AnyScopeAttach} from '@scope/api';
import type {Pod} from '@scope/kube';
import type {ClusterView} from './cluster-view';
import {formatKey, keyOfAttach, keyOfOwner} from './attach-key';
import {matchesSelector} from './match/label-selector';

/** Calls `enqueue` with the key of each object that a change of the cluster may concern. */
export function watchForWork(view: ClusterView, enqueue: (key: string) => void): void {
  const add = (attach: AnyScopeAttach): void => {
    enqueue(formatKey(keyOfAttach(attach)));
  };
  view.scopeAttaches.events$.subscribe(event => {
    if (event.type !== 'Synced') add(event.object);
  });
  view.clusterScopeAttaches.events$.subscribe(event => {
    if (event.type !== 'Synced') add(event.object);
  });
  view.targets.events$.subscribe(event => {
    const owner = event.type === 'Synced' ? undefined : keyOfOwner(event.object);
    if (owner !== undefined) enqueue(formatKey(owner));
  });
  view.pods.events$.subscribe(event => {
    if (event.type === 'Synced') return;
    for (const attach of view.attaches()) if (mayConcern(attach, event.object, view)) add(attach);
  });
  view.namespaceObjects.events$.subscribe(event => {
    if (event.type !== 'Synced') view.clusterScopeAttaches.list().forEach(add);
  });
}

/** Whether the pod is meant by the object, or was: then a target for it exists. Errs on the side of yes. */
function mayConcern(attach: AnyScopeAttach, pod: Pod, view: ClusterView): boolean {
  const {namespace, labels, name, uid} = pod.metadata;
  if (attach.kind === 'ScopeAttach') {
    if (attach.metadata.namespace !== namespace) return false;
    const {podName, workloadRef, selector} = attach.spec.target;
    if (podName === name || workloadRef !== undefined) return true;
    if (selector !== undefined && matchesSelector(selector, labels)) return true;
  } else if (matchesSelector(attach.spec.target.selector, labels)) {
    return true;
  }
  return view.targetsOf(keyOfAttach(attach)).some(target => target.spec.podUID === uid);
}
