import type {EventBatch} from '@scope/core';
import {EventQueue} from '../event-queue';
import type {LineWriter} from './line-writer.port';

export interface SubscriberOptions {
  readonly writer: LineWriter;
  /** What of a batch it wants; undefined: nothing. */
  readonly filter: (batch: EventBatch) => EventBatch | undefined;
  readonly capacityBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * One reader of the live stream. While it does not keep up, its batches wait in a bounded queue; past that they are
 * dropped, counted, and told to it as a `scope.lost` line where the gap is.
 */
export class Subscriber {
  private readonly queue: EventQueue;
  private blocked = false;
  private writtenTotal = 0;

  constructor(private readonly options: SubscriberOptions) {
    const {capacityBytes, now} = options;
    this.queue = new EventQueue({where: 'stream', capacityBytes, now});
    options.writer.on('drain', () => {
      this.blocked = false;
      this.pump();
    });
  }

  offer(batch: EventBatch): void {
    const wanted = this.options.filter(batch);
    if (wanted === undefined) return;
    if (this.queue.push(wanted)) this.pump();
  }

  get depth(): number {
    return this.queue.depth;
  }

  get dropped(): number {
    return this.queue.dropped;
  }

  get written(): number {
    return this.writtenTotal;
  }

  end(): void {
    this.pump();
    this.options.writer.end();
  }

  private pump(): void {
    while (!this.blocked) {
      const batch = this.queue.take();
      if (batch === undefined) break;
      this.queue.delivered(batch);
      this.writtenTotal += batch.events;
      this.blocked = !this.options.writer.write(batch.lines);
    }
    if (!this.blocked) this.tell();
  }

  /** It has caught up: a gap that nothing has followed yet is told now. */
  private tell(): void {
    for (const {lines} of this.queue.lostLines()) this.blocked = !this.options.writer.write(lines);
    this.queue.told();
  }
}
