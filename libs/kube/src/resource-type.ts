import {API_GROUP, API_VERSION} from '@scope/api';

/** What a kind is called in the API's paths. */
export interface ResourceType {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

const own = (plural: string, kind: string, namespaced: boolean): ResourceType => ({
  group: API_GROUP,
  version: API_VERSION,
  plural,
  kind,
  namespaced,
});

const builtIn = (group: string, plural: string, kind: string, namespaced = true): ResourceType => ({
  group,
  version: 'v1',
  plural,
  kind,
  namespaced,
});

export const resourceTypes = {
  scopeAttaches: own('scopeattaches', 'ScopeAttach', true),
  clusterScopeAttaches: own('clusterscopeattaches', 'ClusterScopeAttach', false),
  scopeTargets: own('scopetargets', 'ScopeTarget', true),
  pods: builtIn('', 'pods', 'Pod'),
  namespaces: builtIn('', 'namespaces', 'Namespace', false),
  nodes: builtIn('', 'nodes', 'Node', false),
  deployments: builtIn('apps', 'deployments', 'Deployment'),
  statefulSets: builtIn('apps', 'statefulsets', 'StatefulSet'),
  daemonSets: builtIn('apps', 'daemonsets', 'DaemonSet'),
  replicaSets: builtIn('apps', 'replicasets', 'ReplicaSet'),
  jobs: builtIn('batch', 'jobs', 'Job'),
  cronJobs: builtIn('batch', 'cronjobs', 'CronJob'),
  leases: builtIn('coordination.k8s.io', 'leases', 'Lease'),
  events: builtIn('events.k8s.io', 'events', 'Event'),
} as const satisfies Record<string, ResourceType>;

/** `group/version`, or `v1` for the core group: what objects carry as apiVersion. */
export function apiVersionOf(type: ResourceType): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/**
 * The path of a collection, or with `name` of one object, or with `subresource` of a part of it.
 * Without `namespace` a namespaced type's collection is that of every namespace.
 */
export function resourcePath(
  type: ResourceType,
  at: {readonly namespace?: string | undefined; readonly name?: string; readonly subresource?: string} = {},
): string {
  const segments = [type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`];
  if (type.namespaced && at.namespace !== undefined) segments.push('namespaces', encodeURIComponent(at.namespace));
  segments.push(type.plural);
  if (at.name !== undefined) segments.push(encodeURIComponent(at.name));
  if (at.subresource !== undefined) segments.push(at.subresource);
  return segments.join('/');
}
