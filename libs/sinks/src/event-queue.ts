import type {EventBatch, SessionRef} from '@scope/core';
import {BoundedQueue, Gap} from '@scope/core';

export interface EventQueueOptions {
  /** Who reads what comes out, as `scope.lost` says it. */
  readonly where: string;
  readonly capacityBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Batches on their way to one reader, bounded in bytes, those it has taken and not yet delivered included:
 *
 *   push ──▶ [ waiting │ taken ] ──▶ delivered          depth = waiting + taken ≤ capacity
 *     └ full: dropped      └ abandoned: dropped
 *
 * What is dropped is counted by session, and the reader is told: the next batch that fits is preceded by a batch of
 * `scope.lost` lines (which itself counts as no event). So whatever happens, events delivered + events told of + `untold` =
 * events pushed.
 *
 * What was pushed is held (EventBatch.loan); who knows that the bytes of what is delivered are read by nobody any more lets
 * go of them.
 */
export class EventQueue {
  readonly capacity: number;
  private readonly waiting: BoundedQueue<EventBatch>;
  private readonly gap: Gap;
  private taken = 0;

  constructor(private readonly options: EventQueueOptions) {
    this.capacity = options.capacityBytes;
    // Its bound is ours, which `fits` looks at first.
    this.waiting = new BoundedQueue(Infinity);
    this.gap = new Gap(options.where);
  }

  /** Bytes. */
  get depth(): number {
    return this.waiting.stats().depth + this.taken;
  }

  /** Events, of all sessions. */
  get dropped(): number {
    return this.gap.total;
  }

  droppedOf(session: SessionRef): number {
    return this.gap.of(session);
  }

  /** False: it was dropped. */
  push(batch: EventBatch): boolean {
    if (this.fits(batch.lines.length)) {
      const told = this.lostLines();
      if (this.fits(told.reduce((sum, {lines}) => sum + lines.length, batch.lines.length))) {
        for (const lines of told) this.append(lines);
        if (told.length > 0) this.gap.told();
        this.append(batch);
        return true;
      }
    }
    this.drop(batch);
    return false;
  }

  /** The oldest one; it counts until it is `delivered` or `abandoned`. */
  take(): EventBatch | undefined {
    const batch = this.waiting.shift();
    if (batch !== undefined) this.taken += batch.lines.length;
    return batch;
  }

  delivered(batch: EventBatch): void {
    this.taken -= batch.lines.length;
  }

  abandoned(batch: EventBatch): void {
    this.taken -= batch.lines.length;
    this.drop(batch);
  }

  /** Without its having been here. */
  drop({session, events}: EventBatch): void {
    this.gap.add(session, events);
  }

  /** Lines that tell what is missing and was not told: for a reader that has got everything else. `told` says so. */
  lostLines(): EventBatch[] {
    if (this.gap.isTold) return [];
    return this.gap.lines(this.options.now()).map(({session, line}) => ({session, events: 0, lines: line}));
  }

  told(): void {
    this.gap.told();
  }

  /** One batch that is larger than everything is taken by an empty queue: it must not block for ever. */
  private fits(bytes: number): boolean {
    return this.depth === 0 || this.depth + bytes <= this.capacity;
  }

  private append(batch: EventBatch): void {
    batch.loan?.hold();
    this.waiting.push(batch, batch.lines.length);
  }
}
