import type {Clock, EventBatch, EventSink, SessionRef, SinkStats} from '@scope/core';
import {ScopeError, errnoOf} from '@scope/core';
import {EventQueue} from '../event-queue';
import type {LogFile} from './log-file.port';

export interface NdjsonSinkOptions {
  readonly name: string;
  readonly file: LogFile;
  /** What is written to, for messages. */
  readonly what: string;
  readonly clock: Clock;
  /** Bytes that may wait, those that are just being written included. */
  readonly capacityBytes?: number;
  /** Called when writing fails, once per kind of failure. */
  readonly failed?: (error: ScopeError) => void;
}

/** What the decoder may hand over at once (8 MB), above the mark from which `room` asks it to wait. */
const CAPACITY_BYTES = 12 << 20;
const HIGH_MARK = 1 / 6;
const LOW_MARK = 1 / 12;
/** Of one append: some milliseconds' worth of a disk, a second's of one that is nearly too slow. */
const CHUNK_BYTES = 2 << 20;
const CHUNK_PARTS = 1000;
/** After a failure the medium is left alone for so long. */
const PAUSE_MS = 1000;
/** An append that takes longer is not waited for: then the medium stands still. */
const PATIENCE_MS = 2000;
const CLOSE_MS = 5000;

/**
 * Writes lines in order, off the event loop, from a bounded queue:
 *
 *   write ──▶ [ queue ≤ capacity ] ──▶ one append at a time ──▶ file
 *     └ full: dropped, counted,            └ failed: ScopeError told, tried again every second,
 *       told by a line at the gap            first batch first, while the queue fills behind it
 *
 * Whoever honours `room` loses nothing to a burst: only to a file that fails or stands still.
 */
export class NdjsonSink implements EventSink {
  readonly name: string;
  private readonly queue: EventQueue;
  /** Taken from the queue and not on the file yet. */
  private pending: EventBatch[] = [];
  private written = 0;
  private isFailing = false;
  private progressedAt = 0;
  private readonly told = new Set<string>();
  private isDraining = false;
  private drained: Promise<void> = Promise.resolve();
  private readonly closing = new AbortController();
  private isOver = false;
  /** Called when something was written, or could not be. */
  private waiters: (() => void)[] = [];

  constructor(private readonly options: NdjsonSinkOptions) {
    this.name = options.name;
    const {name: where, capacityBytes = CAPACITY_BYTES, clock} = options;
    this.queue = new EventQueue({where, capacityBytes, now: () => clock.now()});
  }

  write(batch: EventBatch): void {
    if (this.closing.signal.aborted) this.queue.drop(batch);
    else if (this.queue.push(batch)) this.start();
  }

  droppedOf(session: SessionRef): number {
    return this.queue.droppedOf(session);
  }

  room(): Promise<void> | undefined {
    return this.isBehind(HIGH_MARK) ? this.untilRoom() : undefined;
  }

  stats(): SinkStats {
    const {depth, capacity, dropped} = this.queue;
    return {queueDepth: depth, queueCapacity: capacity, written: this.written, dropped};
  }

  async close(): Promise<void> {
    this.closing.abort();
    const timer = new AbortController();
    const late = this.options.clock.sleep(CLOSE_MS, timer.signal).catch(() => undefined);
    await Promise.race([this.finish(), late]);
    timer.abort();
    this.giveUp();
    // Not waited for: it may be what stands still.
    void this.options.file.close().catch(() => undefined);
  }

  private start(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    this.progressedAt = this.options.clock.monotonicMs();
    this.drained = this.drain();
  }

  private async drain(): Promise<void> {
    await this.writeAll();
    // In the same turn in which it found nothing more: whoever writes after it starts it anew.
    this.isDraining = false;
  }

  private async writeAll(): Promise<void> {
    for (let count = this.nextChunk(); count > 0; count = this.nextChunk()) {
      const chunk = this.pending.slice(0, count);
      try {
        await this.append(chunk);
        if (this.isOver) return;
        this.isFailing = false;
      } catch (error) {
        this.isFailing = true;
        this.tell(writeError(error, this.options.what));
        this.wake();
        if (this.closing.signal.aborted) return;
        await this.options.clock.sleep(PAUSE_MS, this.closing.signal).catch(() => undefined);
        continue;
      }
      this.pending.splice(0, count);
      for (const batch of chunk) {
        this.queue.delivered(batch);
        batch.loan?.release();
        batch.written?.();
        this.written += batch.events;
      }
      this.progressedAt = this.options.clock.monotonicMs();
      this.wake();
    }
  }

  private append(chunk: readonly EventBatch[]): Promise<void> {
    const parts = chunk.map(({lines}) => lines);
    return this.options.file.append(
      parts,
      chunk.reduce((sum, {events}) => sum + events, 0),
      chunk.findLast(({mark}) => mark !== undefined)?.mark,
    );
  }

  /** How many of the pending batches to write next. Only the first while it fails: a little may fit where much does not. */
  private nextChunk(): number {
    if (this.pending.length > 0 && this.isFailing) return 1;
    let length = this.pending.reduce((sum, {lines}) => sum + lines.length, 0);
    while (length < CHUNK_BYTES && this.pending.length < CHUNK_PARTS) {
      const batch = this.queue.take();
      if (batch === undefined) break;
      this.pending.push(batch);
      length += batch.lines.length;
    }
    return this.pending.length;
  }

  private async finish(): Promise<void> {
    await this.drained;
    const told = this.queue.lostLines();
    if (this.isFailing || told.length === 0) return;
    await this.append(told).then(
      () => {
        this.queue.told();
      },
      () => undefined,
    );
  }

  /** Whatever still waits is dropped. */
  private giveUp(): void {
    this.isOver = true;
    for (let batch = this.queue.take(); batch !== undefined; batch = this.queue.take()) this.pending.push(batch);
    for (const batch of this.pending) this.queue.abandoned(batch);
    this.pending = [];
    this.wake();
  }

  /** Much waits, and it makes sense to wait for it. */
  private isBehind(mark: number): boolean {
    if (this.isFailing || !this.isDraining || this.queue.depth <= this.queue.capacity * mark) return false;
    return this.options.clock.monotonicMs() - this.progressedAt < PATIENCE_MS;
  }

  private async untilRoom(): Promise<void> {
    const {clock} = this.options;
    while (this.isBehind(LOW_MARK)) {
      const over = new AbortController();
      const progress = new Promise<void>(resolve => this.waiters.push(resolve));
      const left = this.progressedAt + PATIENCE_MS - clock.monotonicMs();
      await Promise.race([progress, clock.sleep(left, over.signal).catch(() => undefined)]);
      over.abort();
    }
  }

  private wake(): void {
    const {waiters} = this;
    this.waiters = [];
    for (const go of waiters) go();
  }

  private tell(error: ScopeError): void {
    if (this.told.has(error.reason)) return;
    this.told.add(error.reason);
    this.options.failed?.(error);
  }
}

/** A failure to write as a ScopeError: DiskFull where there is no room, else HistoryNotWritable. */
export function writeError(thrown: unknown, what: string): ScopeError {
  if (thrown instanceof ScopeError) return thrown;
  const errno = errnoOf(thrown) ?? 'unknown error';
  const full = errno === 'ENOSPC' || errno === 'EDQUOT';
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new ScopeError(
    full ? 'DiskFull' : 'HistoryNotWritable',
    full ? `${what} can not be written: no space is left on its disk.` : `${what} can not be written: ${why}`,
    {cause: thrown, details: {errno, what}},
  );
}
