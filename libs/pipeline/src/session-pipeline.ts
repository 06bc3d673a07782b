import type {EventName} from '@scope/api';
import type {BatchSummary, Clock, EventBatch, EventSink, Loan, SessionRef} from '@scope/core';
import {Gap, eventNameAt} from '@scope/core';
import type {Observable} from 'rxjs';
import {Subscription, filter, map} from 'rxjs';
import type {EventBus} from './event-bus';
import type {EventFilter} from './event-filter';
import {keepLines} from './event-filter';
import {RateLimiter} from './rate-limiter';

/** What comes out of the decoder: complete lines of one session. */
export interface RawBatch {
  readonly events: number;
  readonly lines: Buffer;
  readonly loan?: Loan;
  readonly summary?: BatchSummary;
  readonly mark?: string;
  readonly written?: () => void;
}

export interface PipelineCounts {
  readonly delivered: number;
  readonly filtered: number;
  readonly rateLimited: number;
  /** By name, of those that dropped any. */
  readonly dropped: Readonly<Record<string, number>>;
}

export interface SessionPipelineOptions {
  readonly session: SessionRef;
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly filter?: EventFilter;
  /** Sinks of this session alone (its history). */
  readonly sinks?: readonly EventSink[];
  /** What an earlier pipeline of the same session has done. */
  readonly before?: Pick<PipelineCounts, 'delivered' | 'rateLimited'>;
}

/** What the limit holds back is told of at most that often, so that telling of it is no flood itself. */
const TELL_EVERY_MS = 1000;

/**
 * No limit holds these back: whoever misses one is wrong about what the process is from then on. They can't flood, since
 * each comes once in the life of a scope.
 */
const ALWAYS_TOLD: ReadonlySet<string> = new Set<EventName>([
  'process.scoped',
  'process.unscoped',
  'process.exec',
  'process.exit',
]);

/**
 * One session's way from the decoder to the sinks, batch by batch: filter → limit → fan out. Every event that comes in
 * is counted exactly once as filtered, rateLimited or delivered; what a sink could not take it counts itself. What the
 * limit held back is also told of to every reader, by `scope.lost` lines, which count as no event. How a process's scope
 * begins, changes hands and ends is never held back.
 */
export class SessionPipeline {
  private readonly subscriptions = new Subscription();
  private limiter: RateLimiter | undefined;
  private delivered: number;
  private filtered = 0;
  private readonly limitedBefore: number;
  private readonly overLimit = new Gap('rate limit');
  private toldAt = -Infinity;

  constructor(private readonly options: SessionPipelineOptions) {
    this.delivered = options.before?.delivered ?? 0;
    this.limitedBefore = options.before?.rateLimited ?? 0;
  }

  limit(eventsPerSecond: number | undefined): void {
    const now = this.options.clock.monotonicMs();
    this.limiter = eventsPerSecond === undefined ? undefined : new RateLimiter(eventsPerSecond, now);
  }

  consume(batches$: Observable<RawBatch>): void {
    const present = filter((batch: EventBatch | undefined) => batch !== undefined);
    const stages$ = batches$.pipe(
      map(({events, lines, loan, summary, mark, written}) => ({
        session: this.options.session,
        events,
        lines,
        ...(loan !== undefined && {loan}),
        ...(summary !== undefined && {summary}),
        ...(mark !== undefined && {mark}),
        ...(written !== undefined && {written}),
      })),
      map(batch => this.pass(batch)),
      present,
      map(batch => this.admit(batch)),
      present,
    );
    this.subscriptions.add(
      stages$.subscribe(batch => {
        this.deliver(batch);
      }),
    );
  }

  /** Lines that are told by us: neither filtered nor limited. */
  tell({events, lines}: RawBatch): void {
    this.tellOfLimit();
    this.deliver({session: this.options.session, events, lines});
  }

  counts(): PipelineCounts {
    const {delivered, filtered} = this;
    const {session, bus} = this.options;
    const rateLimited = this.limitedBefore + this.overLimit.total;
    const dropped: Record<string, number> = {};
    for (const sink of [...this.own, ...bus.all()]) {
      const events = sink.droppedOf(session);
      if (events > 0) dropped[sink.name] = (dropped[sink.name] ?? 0) + events;
    }
    return {delivered, filtered, rateLimited, dropped};
  }

  /** See EventSink.room: of its own sinks. Everyone's are not worth a wait, which every session would feel. */
  room(): Promise<void> | undefined {
    const waits = this.own.map(sink => sink.room?.()).filter(wait => wait !== undefined);
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  close(): void {
    this.subscriptions.unsubscribe();
  }

  private pass(batch: EventBatch): EventBatch | undefined {
    const passed = this.options.filter === undefined ? batch : this.options.filter(batch);
    this.filtered += batch.events - (passed?.events ?? 0);
    return passed;
  }

  private admit(batch: EventBatch): EventBatch | undefined {
    if (this.limiter === undefined) return batch;
    const {clock, session} = this.options;
    const now = clock.monotonicMs();
    const granted = this.limiter.take(batch.events, now);
    const passed = granted === batch.events ? batch : withinLimit(batch, granted);
    if (passed !== undefined && now - this.toldAt >= TELL_EVERY_MS) this.tellOfLimit();
    this.overLimit.add(session, batch.events - (passed?.events ?? 0));
    return passed;
  }

  private tellOfLimit(): void {
    const {clock} = this.options;
    if (this.overLimit.isTold) return;
    this.toldAt = clock.monotonicMs();
    for (const {session, line} of this.overLimit.lines(clock.now())) this.deliver({session, events: 0, lines: line});
    this.overLimit.told();
  }

  private deliver(batch: EventBatch): void {
    this.delivered += batch.events;
    for (const sink of this.own) sink.write(batch);
    this.options.bus.publish(batch);
  }

  private get own(): readonly EventSink[] {
    return this.options.sinks ?? [];
  }
}

/** The first lines of a batch, as many as were granted, and those behind them that are always told. */
function withinLimit(batch: EventBatch, granted: number): EventBatch | undefined {
  let left = granted;
  return keepLines(batch, (...line) => left-- > 0 || ALWAYS_TOLD.has(eventNameAt(...line)));
}
