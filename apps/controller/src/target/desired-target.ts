import type {AnyScopeAttach, OwnerReference, ScopeTargetSpec} from '@scope/api';
import {API_GROUP, API_VERSION, ATTACH_KIND_LABEL, ATTACH_NAME_LABEL, DETACH_FINALIZER} from '@scope/api';
import type {ContainerStatus, Pod} from '@scope/kube';
import {workloadOfPod} from '../match/workload-pods';
import {targetName} from './target-name';

/** Everything that the controller writes of a ScopeTarget: applied as a whole. */
export interface DesiredTarget {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly finalizers: readonly string[];
    readonly ownerReferences: readonly OwnerReference[];
  };
  readonly spec: ScopeTargetSpec;
}

/** What the agent of the pod's node is to do about it; undefined while the pod is not placed. */
export function desiredTarget(attach: AnyScopeAttach, pod: Pod): DesiredTarget | undefined {
  const {name: podName, namespace, uid: podUID} = pod.metadata;
  const nodeName = pod.spec?.nodeName;
  const attachUid = attach.metadata.uid;
  if (namespace === undefined || podUID === undefined || nodeName === undefined || attachUid === undefined) {
    return undefined;
  }
  const workload = workloadOfPod(pod);
  const {capture, rateLimit, target} = attach.spec;
  return {
    metadata: {
      namespace,
      name: targetName(podName, podUID, attachUid),
      labels: {
        'app.kubernetes.io/managed-by': 'scope',
        [ATTACH_KIND_LABEL]: attach.kind,
        [ATTACH_NAME_LABEL]: attach.metadata.name,
      },
      finalizers: [DETACH_FINALIZER],
      ownerReferences: [
        {
          apiVersion: `${API_GROUP}/${API_VERSION}`,
          kind: attach.kind,
          name: attach.metadata.name,
          uid: attachUid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      nodeName,
      podName,
      podUID,
      containers: runningContainers(pod, target.containers),
      // The API server fills the default in; an object from before the default has none.
      capture: capture ?? {fs: {}, net: {}, dns: {}, http: {}},
      ...(workload !== undefined && {workload}),
      ...(target.processes !== undefined && {processes: target.processes}),
      ...(rateLimit !== undefined && {rateLimit}),
    },
  };
}

/** The pod's running containers, init and ephemeral ones too, or those of them that are named. */
function runningContainers(pod: Pod, names: readonly string[] | undefined): ScopeTargetSpec['containers'] {
  const {containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = []} = pod.status ?? {};
  return [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses]
    .filter(status => names?.includes(status.name) ?? true)
    .flatMap(status => runningContainer(status));
}

function runningContainer(status: ContainerStatus): ScopeTargetSpec['containers'] {
  const {name, containerID: id, image, restartCount} = status;
  if (id === undefined || status.state?.running === undefined) return [];
  return [{name, id, ...(image !== undefined && {image}), ...(restartCount !== undefined && {restartCount})}];
}
