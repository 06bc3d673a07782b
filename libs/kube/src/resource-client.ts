import type {KubeClient, Query} from './kube-client';
import type {KubeObject} from './kube-object';
import {isNotFound} from './kube-request-error';
import type {ResourceType} from './resource-type';
import {apiVersionOf, resourcePath} from './resource-type';

/** Where an object is: its namespace (none for cluster-scoped ones) and name. */
export interface ObjectPlace {
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface ApplyOptions {
  /** Names the component in managedFields: one per component, the same for ever. */
  readonly fieldManager: string;
  readonly subresource?: 'status';
}

/** The verbs on one type. Every method rejects with KubeRequestError. */
export class ResourceClient<T extends KubeObject> {
  constructor(
    private readonly client: KubeClient,
    readonly type: ResourceType,
  ) {}

  /** Undefined when there is no such object. */
  async get(place: ObjectPlace): Promise<T | undefined> {
    try {
      return await this.client.send<T>({method: 'GET', path: resourcePath(this.type, place)});
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** One page; ask again with `continue` for the next. */
  list(namespace: string | undefined, query: Query = {}): Promise<{readonly items: readonly T[]}> {
    return this.client.send({method: 'GET', path: resourcePath(this.type, {namespace}), query});
  }

  create(namespace: string | undefined, object: object): Promise<T> {
    return this.client.send<T>({
      method: 'POST',
      path: resourcePath(this.type, {namespace}),
      body: {apiVersion: apiVersionOf(this.type), kind: this.type.kind, ...object},
    });
  }

  /** Replaces the object when its resourceVersion is still the newest; a conflict (409) when it isn't. */
  replace(object: T): Promise<T> {
    const {namespace, name} = object.metadata;
    return this.client.send<T>({method: 'PUT', path: resourcePath(this.type, {namespace, name}), body: object});
  }

  /**
   * Server-side apply: `fields` is the full set that this manager owns; what it owned and no longer names is removed.
   * Forced: the fields are ours by contract, whoever wrote them last.
   */
  apply(place: ObjectPlace, fields: object, options: ApplyOptions): Promise<T> {
    const {namespace, name} = place;
    const metadata = 'metadata' in fields ? (fields.metadata as object) : {};
    return this.client.send<T>({
      method: 'PATCH',
      path: resourcePath(this.type, {
        namespace,
        name,
        ...(options.subresource !== undefined && {subresource: options.subresource}),
      }),
      query: {fieldManager: options.fieldManager, force: true},
      contentType: 'application/apply-patch+yaml',
      body: {
        apiVersion: apiVersionOf(this.type),
        kind: this.type.kind,
        ...fields,
        metadata: {...metadata, name, ...(namespace !== undefined && {namespace})},
      },
    });
  }

  /** JSON merge patch (RFC 7386). With a resourceVersion in it, a conflict (409) when the object has changed. */
  patch(place: ObjectPlace, change: object): Promise<T> {
    return this.client.send<T>({
      method: 'PATCH',
      path: resourcePath(this.type, place),
      contentType: 'application/merge-patch+json',
      body: change,
    });
  }

  /** Asks for deletion; an object that is gone already is fine. With `uid`, only that very object. */
  async delete(place: ObjectPlace, uid?: string): Promise<void> {
    try {
      await this.client.send({
        method: 'DELETE',
        path: resourcePath(this.type, place),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: 'Background',
          ...(uid !== undefined && {preconditions: {uid}}),
        },
      });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
