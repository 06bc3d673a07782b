import type {ScopeError} from '@scope/core';
import type {Observable} from 'rxjs';
import {Subject} from 'rxjs';
import {NO_STATS} from './decoder-reply.parser';
import type {
  NativeBatch,
  NativeConfig,
  NativeEnd,
  NativeEndReason,
  NativeHub,
  NativeSession,
  NativeStats,
} from './native-hub.port';

/** A decoder that decodes nothing: tests say what comes out of it. */
export class FakeNativeHub implements NativeHub {
  /** Every session ever opened, oldest first. */
  readonly sessions: FakeNativeSession[] = [];
  /** Thrown by the next `open`, once. */
  refusal: ScopeError | undefined;

  open(config: NativeConfig): FakeNativeSession {
    const {refusal} = this;
    this.refusal = undefined;
    if (refusal !== undefined) throw refusal;
    const session = new FakeNativeSession(this.sessions.length + 1, config);
    this.sessions.push(session);
    return session;
  }
}

export class FakeNativeSession implements NativeSession {
  readonly ended: Promise<NativeEnd>;
  /** How often `flush` was called. */
  flushes = 0;
  /** What `stats` says besides the events emitted. */
  lost: NativeStats['lost'] = {};
  ioUrings = 0;
  isOver = false;
  /** As it was given by `paceBy`. */
  room: () => Promise<void> | undefined = () => undefined;
  private events = 0;
  private readonly batches = new Subject<NativeBatch>();
  private resolveEnded: (end: NativeEnd) => void = () => undefined;

  constructor(
    readonly id: number,
    readonly config: NativeConfig,
  ) {
    this.ended = new Promise(resolve => {
      this.resolveEnded = resolve;
    });
  }

  get batches$(): Observable<NativeBatch> {
    return this.batches.asObservable();
  }

  paceBy(room: () => Promise<void> | undefined): void {
    this.room = room;
  }

  /** One batch of these events, one line each, delivered now. */
  emit(...events: readonly object[]): void {
    if (events.length === 0 || this.isOver) return;
    this.events += events.length;
    const lines = Buffer.from(events.map(event => `${JSON.stringify(event)}\n`).join(''));
    this.batches.next({session: this.id, events: events.length, lines});
  }

  /** Ends it from the decoder's side. */
  end(reason: NativeEndReason, message?: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.batches.complete();
    this.resolveEnded({reason, ...(message !== undefined && {message}), stats: this.stats()});
  }

  stats(): NativeStats {
    return {
      ...NO_STATS,
      records: this.events,
      events: this.events,
      lost: this.lost,
      flushed: this.flushes,
      ioUrings: this.ioUrings,
    };
  }

  flush(): Promise<void> {
    this.flushes += 1;
    return Promise.resolve();
  }

  close(): Promise<NativeEnd> {
    this.end('detached');
    return this.ended;
  }
}
