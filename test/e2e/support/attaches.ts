import type {AnyScopeAttach, ClusterScopeAttach, ScopeAttach, ScopeTarget} from '@scope/api';
import {apply, get, kubectl, list, untilObject} from './kubectl';

export function scopeAttach(name: string, spec: object, namespace = 'shop'): object {
  return {apiVersion: 'scopeattach.dev/v1alpha1', kind: 'ScopeAttach', metadata: {name, namespace}, spec};
}

export function clusterScopeAttach(name: string, spec: object): object {
  return {apiVersion: 'scopeattach.dev/v1alpha1', kind: 'ClusterScopeAttach', metadata: {name}, spec};
}

export const readAttach = (name: string, namespace = 'shop'): Promise<ScopeAttach | undefined> =>
  get<ScopeAttach>('scopeattach', name, namespace);
export const readClusterAttach = (name: string): Promise<ClusterScopeAttach | undefined> =>
  get<ClusterScopeAttach>('clusterscopeattach', name);

export const condition = (
  attach: AnyScopeAttach | undefined,
  type: string,
): {status: string; reason: string} | undefined => attach?.status?.conditions?.find(one => one.type === type);

/** Applies it, waits until it is Ready, and says how many milliseconds passed after `kubectl apply` had returned. */
export async function applyUntilReady(
  manifest: object & {kind?: string; metadata?: {name: string; namespace?: string}},
): Promise<number> {
  await apply(manifest);
  const applied = Date.now();
  const {kind = '', metadata} = manifest;
  const where = metadata?.namespace === undefined ? [] : ['-n', metadata.namespace];
  const name = `${kind.toLowerCase()}/${metadata?.name ?? ''}`;
  try {
    await kubectl('wait', ...where, name, '--for=condition=Ready', '--timeout=30s');
  } catch (error) {
    const [attach, targets] = [
      await kubectl('get', ...where, name, '-o', 'yaml'),
      await list<ScopeTarget>('scopetargets'),
    ];
    const statuses = targets.map(target => ({pod: target.spec.podName, status: target.status}));
    throw new Error(`${String(error)}\n${attach}\n${JSON.stringify(statuses, undefined, 1)}`);
  }
  return Date.now() - applied;
}

/** Deletes it and waits until it is gone; how many milliseconds that took. */
export async function deleteUntilGone(kind: string, name: string, namespace?: string): Promise<number> {
  const started = Date.now();
  const where = namespace === undefined ? [] : ['-n', namespace];
  await kubectl('delete', kind, name, ...where, '--timeout=90s');
  return Date.now() - started;
}

export const untilAttach = (
  what: string,
  name: string,
  test: (attach: ScopeAttach) => boolean,
  timeoutMs?: number,
): Promise<ScopeAttach> => untilObject(what, () => readAttach(name), test, timeoutMs);
