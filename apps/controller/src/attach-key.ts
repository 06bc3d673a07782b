import type {AnyScopeAttach, ScopeTarget} from '@scope/api';
import {ATTACH_KIND_LABEL, ATTACH_NAME_LABEL} from '@scope/api';

export type AttachKind = AnyScopeAttach['kind'];

/** Names one ScopeAttach (with its namespace) or ClusterScopeAttach (without): what the workqueue holds. */
export interface AttachKey {
  readonly kind: AttachKind;
  readonly namespace: string | undefined;
  readonly name: string;
}

export function formatKey({kind, namespace, name}: AttachKey): string {
  return namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
}

/** The inverse of formatKey; undefined for anything else. */
export function parseKey(text: string): AttachKey | undefined {
  const [kind, ...rest] = text.split('/');
  if (kind === 'ScopeAttach' && rest.length === 2) return {kind, namespace: rest[0], name: rest[1] ?? ''};
  if (kind === 'ClusterScopeAttach' && rest.length === 1) return {kind, namespace: undefined, name: rest[0] ?? ''};
  return undefined;
}

export function keyOfAttach({kind, metadata}: AnyScopeAttach): AttachKey {
  return {kind, namespace: kind === 'ScopeAttach' ? metadata.namespace : undefined, name: metadata.name};
}

/** The object that a target was made for, by its labels; undefined when a person made it. */
export function keyOfOwner(target: ScopeTarget): AttachKey | undefined {
  const kind = target.metadata.labels?.[ATTACH_KIND_LABEL];
  const name = target.metadata.labels?.[ATTACH_NAME_LABEL];
  if (name === undefined) return undefined;
  if (kind === 'ScopeAttach') return {kind, namespace: target.metadata.namespace, name};
  if (kind === 'ClusterScopeAttach') return {kind, namespace: undefined, name};
  return undefined;
}
