import type {AnyScopeAttach, ClusterScopeAttach, ScopeAttach, ScopeTarget} from '@scope/api';
import type {Clock} from '@scope/core';
import type {KubeClient, KubeObject, Namespace, Pod, ResourceType} from '@scope/kube';
import {Reflector, resourceTypes} from '@scope/kube';
import type {AttachKey} from './attach-key';
import {formatKey, keyOfOwner} from './attach-key';

export interface ClusterViewOptions {
  readonly clock: Clock;
  readonly onRestart: (resource: string, reason: string, afterMs: number) => void;
}

/** Live copies of everything that reconciling reads, found by what it asks for. */
export class ClusterView {
  readonly scopeAttaches: Reflector<ScopeAttach>;
  readonly clusterScopeAttaches: Reflector<ClusterScopeAttach>;
  readonly targets: Reflector<ScopeTarget>;
  readonly pods: Reflector<Pod>;
  readonly namespaceObjects: Reflector<Namespace>;
  private readonly targetsByOwner = new Map<string, Map<string, ScopeTarget>>();
  private readonly podsByNamespace = new Map<string, Map<string, Pod>>();

  constructor(client: KubeClient, options: ClusterViewOptions) {
    const reflect = <T extends KubeObject>(type: ResourceType, more: {fieldSelector?: string} = {}): Reflector<T> =>
      new Reflector<T>(client, type, {
        ...more,
        clock: options.clock,
        ...(type === resourceTypes.pods && {keep: slimPod}),
        onRestart: ({reason, afterMs}) => {
          options.onRestart(type.plural, reason, afterMs);
        },
      });
    this.scopeAttaches = reflect(resourceTypes.scopeAttaches);
    this.clusterScopeAttaches = reflect(resourceTypes.clusterScopeAttaches);
    this.targets = reflect(resourceTypes.scopeTargets);
    // Only these can be scoped; one that ends leaves the selection and is seen as deleted.
    this.pods = reflect(resourceTypes.pods, {fieldSelector: 'status.phase=Running'});
    this.namespaceObjects = reflect(resourceTypes.namespaces);
    this.targets.events$.subscribe(event => {
      if (event.type === 'Synced') return;
      const owner = keyOfOwner(event.object);
      if (owner !== undefined) place(this.targetsByOwner, formatKey(owner), event.key, present(event));
    });
    this.pods.events$.subscribe(event => {
      if (event.type === 'Synced') return;
      place(this.podsByNamespace, event.object.metadata.namespace ?? '', event.key, present(event));
    });
  }

  /** Runs every copy until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.all.map(reflector => reflector.run(signal)));
  }

  /** Whether every copy has taken in a first list. Before, what is missing here may exist all the same. */
  get isSynced(): boolean {
    return this.all.every(reflector => reflector.isSynced);
  }

  attach({kind, namespace, name}: AttachKey): AnyScopeAttach | undefined {
    return kind === 'ScopeAttach'
      ? this.scopeAttaches.get(`${namespace ?? ''}/${name}`)
      : this.clusterScopeAttaches.get(name);
  }

  attaches(): readonly AnyScopeAttach[] {
    return [...this.scopeAttaches.list(), ...this.clusterScopeAttaches.list()];
  }

  /** The targets made for this object, those of a predecessor of the same name included. */
  targetsOf(key: AttachKey): readonly ScopeTarget[] {
    return [...(this.targetsByOwner.get(formatKey(key))?.values() ?? [])];
  }

  podsIn(namespace: string): readonly Pod[] {
    return [...(this.podsByNamespace.get(namespace)?.values() ?? [])];
  }

  namespaces(): readonly Namespace[] {
    return this.namespaceObjects.list();
  }

  private get all(): readonly Pick<Reflector<KubeObject>, 'run' | 'isSynced'>[] {
    return [this.scopeAttaches, this.clusterScopeAttaches, this.targets, this.pods, this.namespaceObjects];
  }
}

const present = <T>(event: {readonly type: 'Added' | 'Modified' | 'Deleted'; readonly object: T}): T | undefined =>
  event.type === 'Deleted' ? undefined : event.object;

function place<T>(groups: Map<string, Map<string, T>>, group: string, key: string, object: T | undefined): void {
  const members = groups.get(group) ?? new Map<string, T>();
  if (object === undefined) members.delete(key);
  else members.set(key, object);
  if (members.size === 0) groups.delete(group);
  else groups.set(group, members);
}

/** A pod without what nobody here reads: most of its spec and of its annotations. */
function slimPod(object: KubeObject): KubeObject {
  const pod = object as Pod;
  const {annotations: _, ...metadata} = pod.metadata;
  const {phase, containerStatuses, initContainerStatuses, ephemeralContainerStatuses} = pod.status ?? {};
  const slim: Pod = {
    metadata,
    ...(pod.spec?.nodeName !== undefined && {spec: {nodeName: pod.spec.nodeName}}),
    status: {
      ...(phase !== undefined && {phase}),
      ...(containerStatuses !== undefined && {containerStatuses}),
      ...(initContainerStatuses !== undefined && {initContainerStatuses}),
      ...(ephemeralContainerStatuses !== undefined && {ephemeralContainerStatuses}),
    },
  };
  return slim;
}
