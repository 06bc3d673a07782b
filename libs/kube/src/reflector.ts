import type {Clock} from '@scope/core';
import {backoffMs} from '@scope/core';
import type {Observable} from 'rxjs';
import {Subject} from 'rxjs';
import type {KubeClient, Query} from './kube-client';
import type {KubeObject} from './kube-object';
import {keyOf} from './kube-object';
import {isExpired, KubeRequestError} from './kube-request-error';
import type {ResourceType} from './resource-type';
import {resourcePath} from './resource-type';

export type ReflectorEvent<T> =
  | {readonly type: 'Added' | 'Modified' | 'Deleted'; readonly key: string; readonly object: T}
  /** Everything that existed at some moment has been emitted. Once per list. */
  | {readonly type: 'Synced'};

export interface ReflectorOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** What is kept of an object; what nobody reads needn't stay in memory. managedFields never do. */
  readonly keep?: (object: KubeObject) => KubeObject;
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random?: () => number;
  /** Told of each failure after which it starts again. */
  readonly onRestart?: (restart: {readonly reason: string; readonly afterMs: number; readonly error?: Error}) => void;
}

const PAGE_SIZE = 500;
const BACKOFF = {baseMs: 800, maxMs: 30_000};
/** Only after having been well this long does the next failure start from the shortest pause. */
const HEALTHY_MS = 60_000;
const MIN_WATCH_SECONDS = 290;
const WATCH_SPREAD_SECONDS = 300;

interface ListPage<T> {
  readonly metadata?: {readonly resourceVersion?: string; readonly continue?: string};
  readonly items: readonly T[];
}

interface WatchLine<T> {
  readonly type: string;
  readonly object: T & {readonly code?: number; readonly message?: string; readonly reason?: string};
}

/**
 * A live copy of the objects of one type.
 *
 *   list (paged) ─▶ watch from there, with bookmarks ─▶ ends ─▶ watch from the last version seen
 *        ▲                                                │
 *        └── 410 Gone, or a line that makes no sense ─────┘        every failure: full-jitter pause, 0.8 … 30 s
 *
 * A watch that is silent for twice its own timeout is dead and started anew. Never gives up before the signal aborts.
 */
export class Reflector<T extends KubeObject> {
  private readonly objects = new Map<string, T>();
  private readonly subject = new Subject<ReflectorEvent<T>>();
  private synced = false;
  private version: string | undefined;
  private failures = 0;
  private wellSince: number | undefined;

  constructor(
    private readonly client: KubeClient,
    private readonly type: ResourceType,
    private readonly options: ReflectorOptions,
  ) {}

  /** Changes from the subscription on; what exists already is in `list()`. Never errors. */
  get events$(): Observable<ReflectorEvent<T>> {
    return this.subject.asObservable();
  }

  /** Whether a first list has been taken in. Before, `get` and `list` know nothing. */
  get isSynced(): boolean {
    return this.synced;
  }

  get(key: string): T | undefined {
    return this.objects.get(key);
  }

  list(): readonly T[] {
    return [...this.objects.values()];
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.version ??= await this.relist(signal);
        await this.watch(this.version, signal);
        await this.pauseAfter('WatchEnded', undefined, signal);
      } catch (error) {
        if (isAborted(signal)) return;
        if (isExpired(error)) this.version = undefined;
        const failure = error instanceof Error ? error : new Error(String(error));
        await this.pauseAfter(reasonOf(failure), failure, signal);
      }
    }
  }

  /** A watch that lived its time is no failure and starts again at once; what ends early waits. */
  private async pauseAfter(reason: string, error: Error | undefined, signal: AbortSignal): Promise<void> {
    const {clock} = this.options;
    const well = this.wellSince !== undefined && clock.monotonicMs() - this.wellSince >= HEALTHY_MS;
    this.wellSince = undefined;
    if (well) this.failures = 0;
    let afterMs = 0;
    if (!well || error !== undefined) {
      afterMs = Math.max(retryAfterOf(error), backoffMs(this.failures, BACKOFF, this.options.random));
      this.failures += 1;
    }
    this.options.onRestart?.({reason, afterMs, ...(error !== undefined && {error})});
    if (afterMs > 0) await clock.sleep(afterMs, signal).catch(() => undefined);
  }

  private get query(): Query {
    return {labelSelector: this.options.labelSelector, fieldSelector: this.options.fieldSelector};
  }

  private get path(): string {
    return resourcePath(this.type, {namespace: this.options.namespace});
  }

  private async relist(signal: AbortSignal): Promise<string> {
    const found = new Map<string, T>();
    let version: string | undefined;
    let next: string | undefined;
    do {
      const page = await this.client.send<ListPage<T>>({
        method: 'GET',
        path: this.path,
        query: {
          ...this.query,
          limit: PAGE_SIZE,
          continue: next,
          // Any cached state will do for the first one; after a 410 the cache may be what is behind.
          resourceVersion: next === undefined && !this.synced ? '0' : undefined,
        },
        signal,
      });
      for (const object of page.items) found.set(keyOf(object), this.trimmed(object));
      version = page.metadata?.resourceVersion;
      next = page.metadata?.continue === '' ? undefined : page.metadata?.continue;
    } while (next !== undefined);
    if (version === undefined) throw new KubeRequestError(0, `GET ${this.path}: a list without resourceVersion`);
    this.replaceAll(found);
    return version;
  }

  private replaceAll(found: ReadonlyMap<string, T>): void {
    for (const [key, object] of [...this.objects]) {
      const successor = found.get(key);
      // Made anew under the same name while we were away: the old one's end must be seen.
      if (successor === undefined || successor.metadata.uid !== object.metadata.uid) this.take('Deleted', object);
    }
    for (const [key, object] of found) {
      const known = this.objects.get(key);
      if (known === undefined) this.take('Added', object);
      else if (known.metadata.resourceVersion !== object.metadata.resourceVersion) this.take('Modified', object);
    }
    this.synced = true;
    this.subject.next({type: 'Synced'});
  }

  private async watch(version: string, signal: AbortSignal): Promise<void> {
    const random = this.options.random ?? Math.random;
    const timeoutSeconds = MIN_WATCH_SECONDS + Math.floor(random() * WATCH_SPREAD_SECONDS);
    const lines = this.client.lines({
      method: 'GET',
      path: this.path,
      query: {...this.query, watch: true, allowWatchBookmarks: true, resourceVersion: version, timeoutSeconds},
      signal,
      idleTimeoutMs: timeoutSeconds * 2_000,
    });
    this.wellSince = this.options.clock.monotonicMs();
    for await (const line of lines) this.takeLine(line);
  }

  private takeLine(line: string): void {
    const {type, object} = parseLine<T>(line);
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        this.take(this.objects.has(keyOf(object)) ? 'Modified' : 'Added', this.trimmed(object));
        break;
      case 'DELETED':
        this.take('Deleted', this.trimmed(object));
        break;
      case 'BOOKMARK':
        break;
      case 'ERROR':
        throw new KubeRequestError(object.code ?? 0, object.message ?? 'watch error', object.reason);
      default:
        throw new KubeRequestError(0, `watch of ${this.type.plural}: unknown event ${type}`);
    }
    this.version = object.metadata.resourceVersion ?? this.version;
  }

  private take(type: 'Added' | 'Modified' | 'Deleted', object: T): void {
    const key = keyOf(object);
    if (type === 'Deleted') this.objects.delete(key);
    else this.objects.set(key, object);
    this.subject.next({type, key, object});
  }

  /** Without managedFields: often half of an object, and never read. */
  private trimmed(object: T): T {
    const {managedFields: _, ...metadata} = object.metadata as T['metadata'] & {managedFields?: unknown};
    const slim: T = {...object, metadata};
    return this.options.keep === undefined ? slim : (this.options.keep(slim) as T);
  }
}

/** Throws 410 for a line that is no event: what was missed can't be known, so list anew. */
function parseLine<T>(line: string): WatchLine<T> {
  try {
    const parsed = JSON.parse(line) as Partial<WatchLine<T>>;
    if (typeof parsed.type === 'string' && typeof parsed.object === 'object') return parsed as WatchLine<T>;
  } catch {
    // Falls through: a line cut short and a line of something else are the same to us.
  }
  throw new KubeRequestError(410, 'a watch line that is no event', 'Expired');
}

function reasonOf(error: Error): string {
  if (!(error instanceof KubeRequestError)) return 'InternalError';
  return error.kubeReason ?? (error.status === 0 ? 'ConnectionLost' : String(error.status));
}

function retryAfterOf(error: Error | undefined): number {
  return error instanceof KubeRequestError ? (error.retryAfterMs ?? 0) : 0;
}

/** Read through a function: the compiler believes that a property it has seen false stays false. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
