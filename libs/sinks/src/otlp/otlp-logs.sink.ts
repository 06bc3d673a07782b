import type {ScopeEvent} from '@scope/api';
import type {Clock, EventBatch, EventSink, SessionRef, SinkStats} from '@scope/core';
import {ScopeError, backoffMs, forEachLine} from '@scope/core';
import {EventQueue} from '../event-queue';
import type {LogRecord, LogResource} from './log-record';
import {SCHEMA_URL, logRecordOf, resourceOf} from './log-record';

/** What sends records: OTLPLogExporter is one. */
export interface LogExporter {
  export(records: LogRecord[], done: (result: {code: number; error?: Error}) => void): void;
  shutdown(): Promise<void>;
}

export interface OtlpLogsSinkOptions {
  readonly exporter: LogExporter;
  readonly clock: Clock;
  readonly version: string;
  /** Bytes of events that may wait, those of the request in flight included. */
  readonly capacityBytes?: number;
  /** Told once for each run of failures. */
  readonly failed?: (error: ScopeError) => void;
}

const CAPACITY_BYTES = 16 << 20;
const RECORDS_PER_REQUEST = 2048;
const ATTEMPTS = 6;
const BACKOFF = {baseMs: 500, maxMs: 15_000};
const CLOSE_MS = 5000;
const SHUTDOWN_MS = 500;

/**
 * Events as OTLP log records, one request in flight. A request that fails is tried again with growing pauses, then
 * dropped; meanwhile the queue fills, and past its capacity whole batches are dropped. What is dropped is counted, and told
 * to the collector by a `scope.lost` record where it is missing.
 */
export class OtlpLogsSink implements EventSink {
  readonly name = 'otlp';
  private readonly queue: EventQueue;
  private readonly resources = new WeakMap<SessionRef, LogResource>();
  private readonly scope: LogRecord['instrumentationScope'];
  /** Nothing is sent any more. */
  private readonly over = new AbortController();
  private written = 0;
  private isFailing = false;
  private isDraining = false;
  private drained: Promise<void> = Promise.resolve();

  constructor(private readonly options: OtlpLogsSinkOptions) {
    const {capacityBytes = CAPACITY_BYTES, clock} = options;
    this.queue = new EventQueue({where: this.name, capacityBytes, now: () => clock.now()});
    this.scope = {name: 'scopeattach.dev', version: options.version, schemaUrl: SCHEMA_URL};
  }

  write(batch: EventBatch): void {
    if (this.over.signal.aborted) this.queue.drop(batch);
    else if (this.queue.push(batch) && !this.isDraining) {
      this.isDraining = true;
      this.drained = this.drain();
    }
  }

  droppedOf(session: SessionRef): number {
    return this.queue.droppedOf(session);
  }

  stats(): SinkStats {
    const {depth, capacity, dropped} = this.queue;
    return {queueDepth: depth, queueCapacity: capacity, written: this.written, dropped};
  }

  /** Sends what waits, for a few seconds at most; the rest is dropped. */
  async close(): Promise<void> {
    await this.within(CLOSE_MS, this.drained);
    this.over.abort();
    await this.drained;
    for (let batch = this.queue.take(); batch !== undefined; batch = this.queue.take()) this.queue.abandoned(batch);
    // A request that hangs must not keep this program.
    await this.within(SHUTDOWN_MS, this.options.exporter.shutdown());
  }

  private async drain(): Promise<void> {
    // A moment for more to come: few large requests instead of many small ones.
    await this.pause(50);
    while (!this.over.signal.aborted) {
      const batches = this.nextBatches();
      if (batches.length === 0) break;
      if (await this.send(this.recordsOf(batches))) {
        for (const batch of batches) {
          this.written += batch.events;
          this.queue.delivered(batch);
          batch.loan?.release();
        }
      } else {
        for (const batch of batches) this.queue.abandoned(batch);
      }
    }
    this.isDraining = false;
  }

  private nextBatches(): EventBatch[] {
    const batches: EventBatch[] = [];
    for (let events = 0; events < RECORDS_PER_REQUEST;) {
      const batch = this.queue.take();
      if (batch === undefined) break;
      batches.push(batch);
      events += Math.max(1, batch.events);
    }
    return batches;
  }

  private recordsOf(batches: readonly EventBatch[]): LogRecord[] {
    const now = this.options.clock.now();
    const observed: LogRecord['hrTimeObserved'] = [Math.floor(now / 1000), (now % 1000) * 1e6];
    const records: LogRecord[] = [];
    for (const {session, lines} of batches) {
      const resource = this.resourceOf(session);
      forEachLine(lines, (start, end) => {
        const event = parse(lines.toString('utf8', start, end));
        if (event !== undefined) records.push(logRecordOf(event, resource, this.scope, observed));
      });
    }
    return records;
  }

  /** False: it was given up. */
  private async send(records: LogRecord[]): Promise<boolean> {
    for (let attempt = 0; ; attempt += 1) {
      const error = await this.exportOnce(records);
      if (error === undefined) {
        this.isFailing = false;
        return true;
      }
      if (!this.isFailing) this.tell(error);
      if (attempt + 1 >= ATTEMPTS || this.isOver()) return false;
      await this.pause(backoffMs(attempt, BACKOFF));
      if (this.isOver()) return false;
    }
  }

  private exportOnce(records: LogRecord[]): Promise<Error | undefined> {
    return new Promise(resolve => {
      const giveUp = (): void => {
        resolve(new Error('it had not answered by the end'));
      };
      this.over.signal.addEventListener('abort', giveUp, {once: true});
      this.options.exporter.export(records, ({code, error}) => {
        this.over.signal.removeEventListener('abort', giveUp);
        resolve(code === 0 ? undefined : (error ?? new Error('refused')));
      });
    });
  }

  /** A method, so that the compiler doesn't take it for constant across an await. */
  private isOver(): boolean {
    return this.over.signal.aborted;
  }

  private pause(ms: number): Promise<void> {
    return this.options.clock.sleep(ms, this.over.signal).catch(() => undefined);
  }

  private async within(ms: number, work: Promise<unknown>): Promise<void> {
    const timer = new AbortController();
    const late = this.options.clock.sleep(ms, timer.signal).catch(() => undefined);
    await Promise.race([work.catch(() => undefined), late]);
    timer.abort();
  }

  private resourceOf(session: SessionRef): LogResource {
    let resource = this.resources.get(session);
    if (resource === undefined) {
      resource = resourceOf(session.process, this.options.version);
      this.resources.set(session, resource);
    }
    return resource;
  }

  private tell(cause: Error): void {
    this.isFailing = true;
    this.options.failed?.(new ScopeError('ExportFailed', `Sending events by OTLP failed: ${cause.message}`, {cause}));
  }
}

/** The decoder writes nothing else than JSON: what is none is no event. */
function parse(line: string): ScopeEvent | undefined {
  try {
    return JSON.parse(line) as ScopeEvent;
  } catch {
    return undefined;
  }
}
