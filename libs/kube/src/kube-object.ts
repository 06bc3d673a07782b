import type {ObjectMeta} from '@scope/api';

/** Whatever the API server keeps: JSON as it came, moments as RFC 3339 strings. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** Names an object among those of its type: `namespace/name`, or `name` where there is no namespace. */
export function keyOf(object: KubeObject): string {
  const {namespace, name} = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

export function splitKey(key: string): {readonly namespace: string | undefined; readonly name: string} {
  const slash = key.indexOf('/');
  return slash < 0 ? {namespace: undefined, name: key} : {namespace: key.slice(0, slash), name: key.slice(slash + 1)};
}

/** The parts of a Pod (core/v1) that matter here. */
export interface Pod extends KubeObject {
  readonly spec?: {readonly nodeName?: string};
  readonly status?: {
    readonly phase?: string;
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly ephemeralContainerStatuses?: readonly ContainerStatus[];
  };
}

export interface ContainerStatus {
  readonly name: string;
  /** `runtime://id`; absent before the container first starts. */
  readonly containerID?: string;
  readonly image?: string;
  readonly restartCount?: number;
  readonly state?: {readonly running?: object};
}

export type Namespace = KubeObject;

export interface Node extends KubeObject {
  readonly status?: {readonly conditions?: readonly {readonly type: string; readonly status: string}[]};
}

/** Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob: only their identity and owners are read. */
export type Workload = KubeObject;
