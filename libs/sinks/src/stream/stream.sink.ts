import type {EventBatch, EventSink, SinkStats} from '@scope/core';
import {ScopeError, forEachLine} from '@scope/core';
import type {LineWriter} from './line-writer.port';
import {Subscriber} from './subscriber';

export interface StreamSinkOptions {
  /** Bytes that may wait for one subscriber. */
  readonly capacityBytes?: number;
  /** Bytes of past events that are remembered for `--last`. */
  readonly recentBytes?: number;
  readonly now: () => number;
}

export interface Subscription {
  readonly writer: LineWriter;
  readonly filter: (batch: EventBatch) => EventBatch | undefined;
  /** Begin with so many past events. */
  readonly last?: number;
  /** Go on with what comes; else end after the past ones. */
  readonly follow: boolean;
}

const CAPACITY_BYTES = 8 << 20;
const RECENT_BYTES = 1 << 20;
/** Followers at one time: each may have `capacityBytes` waiting. */
const READERS = 16;

/** Live streams, and the short memory that they begin with. */
export class StreamSink implements EventSink {
  readonly name = 'stream';
  private readonly subscribers = new Set<Subscriber>();
  private recent: EventBatch[] = [];
  private recentSize = 0;
  private readonly capacityBytes: number;
  private readonly recentBytes: number;
  private goneWritten = 0;
  private goneDropped = 0;

  constructor(private readonly options: StreamSinkOptions) {
    this.capacityBytes = options.capacityBytes ?? CAPACITY_BYTES;
    this.recentBytes = options.recentBytes ?? RECENT_BYTES;
  }

  write(batch: EventBatch): void {
    this.remember(batch);
    for (const subscriber of this.subscribers) subscriber.offer(batch);
  }

  /** What a reader missed is told to it, and is in stats: it is not the session's loss. */
  droppedOf(): number {
    return 0;
  }

  /** Throws AgentUnavailable where there are too many readers already. */
  subscribe({writer, filter, last, follow}: Subscription): void {
    const {now} = this.options;
    if (this.subscribers.size >= READERS) {
      throw new ScopeError('AgentUnavailable', `${READERS} readers follow the events of this agent already.`, {
        advice: 'End one of them (`scope events -f`, GET /v1/events?follow) and try again.',
      });
    }
    const subscriber = new Subscriber({writer, filter, capacityBytes: this.capacityBytes, now});
    for (const batch of this.past(filter, last ?? 0)) subscriber.offer(batch);
    if (!follow) {
      subscriber.end();
      return;
    }
    this.subscribers.add(subscriber);
    writer.on('close', () => {
      this.subscribers.delete(subscriber);
      this.goneWritten += subscriber.written;
      this.goneDropped += subscriber.dropped;
    });
  }

  stats(): SinkStats {
    const all = [...this.subscribers];
    const sum = (of: (subscriber: Subscriber) => number): number => all.reduce((total, one) => total + of(one), 0);
    return {
      queueDepth: sum(({depth}) => depth),
      queueCapacity: this.capacityBytes * Math.max(1, all.length),
      written: this.goneWritten + sum(({written}) => written),
      dropped: this.goneDropped + sum(({dropped}) => dropped),
    };
  }

  close(): Promise<void> {
    for (const subscriber of this.subscribers) subscriber.end();
    return Promise.resolve();
  }

  private remember(batch: EventBatch): void {
    batch.loan?.hold();
    this.recent.push(batch);
    this.recentSize += batch.lines.length;
    let drop = 0;
    while (this.recentSize > this.recentBytes && drop < this.recent.length - 1) {
      const oldest = this.recent[drop];
      this.recentSize -= oldest?.lines.length ?? 0;
      oldest?.loan?.release();
      drop += 1;
    }
    if (drop > 0) this.recent = this.recent.slice(drop);
  }

  /** The last `count` remembered events that pass, oldest first. */
  private past(filter: Subscription['filter'], count: number): EventBatch[] {
    const found: EventBatch[] = [];
    let missing = count;
    for (let at = this.recent.length - 1; at >= 0 && missing > 0; at -= 1) {
      const batch = this.recent[at];
      const wanted = batch === undefined ? undefined : filter(batch);
      if (wanted === undefined) continue;
      found.unshift(lastLines(wanted, missing));
      missing -= wanted.events;
    }
    return found;
  }
}

function lastLines(batch: EventBatch, count: number): EventBatch {
  if (batch.events <= count) return batch;
  let skip = batch.events - count;
  let from = 0;
  forEachLine(batch.lines, (_start, end) => {
    if (skip > 0) from = end + 1;
    skip -= 1;
  });
  const {summary: _ofAll, ...rest} = batch;
  return {...rest, events: count, lines: batch.lines.subarray(from)};
}
