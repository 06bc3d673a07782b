import {eventNameAt} from '@scope/core';
import {fakeBatch} from '../batch.fake';
import type {LineWriter} from './line-writer.port';
import {StreamSink} from './stream.sink';

/** A reader that stops taking after `room` writes, until it drains. */
class FakeWriter implements LineWriter {
  readonly lines: {event: string; lost?: {events: number}; attributes: {n?: number}}[] = [];
  isEnded = false;
  private readonly listeners = new Map<string, () => void>();

  constructor(public room = Infinity) {}

  write(bytes: Buffer | string): boolean {
    for (const line of bytes.toString().trimEnd().split('\n')) {
      this.lines.push(JSON.parse(line) as FakeWriter['lines'][number]);
    }
    this.room -= 1;
    return this.room > 0;
  }

  on(event: 'drain' | 'close', listener: () => void): void {
    this.listeners.set(event, listener);
  }

  happen(event: 'drain' | 'close'): void {
    this.listeners.get(event)?.();
  }

  end(): void {
    this.isEnded = true;
  }
}

const everything = <T>(batch: T): T => batch;
const one = (n: number) => fakeBatch(['fs.open', {n}]);
const numbers = ({lines}: FakeWriter): (number | undefined)[] => lines.map(({attributes}) => attributes.n);

describe('StreamSink', () => {
  it('begins with the last ones, then follows', () => {
    const sink = new StreamSink({now: () => 0});
    for (let n = 0; n < 5; n += 1) sink.write(one(n));
    const writer = new FakeWriter();
    sink.subscribe({writer, filter: everything, last: 2, follow: true});
    sink.write(one(5));
    expect(numbers(writer)).toEqual([3, 4, 5]);
    expect(writer.isEnded).toBe(false);
  });

  it('cuts a batch that holds more than were asked for', () => {
    const sink = new StreamSink({now: () => 0});
    sink.write(fakeBatch(['fs.open', {n: 1}], ['fs.open', {n: 2}], ['fs.open', {n: 3}]));
    const writer = new FakeWriter();
    sink.subscribe({writer, filter: everything, last: 2, follow: false});
    expect(numbers(writer)).toEqual([2, 3]);
    expect(writer.isEnded).toBe(true);
  });

  it('remembers no more than its bound', () => {
    const size = one(0).lines.length;
    const sink = new StreamSink({now: () => 0, recentBytes: size * 3});
    for (let n = 0; n < 9; n += 1) sink.write(one(n));
    const writer = new FakeWriter();
    sink.subscribe({writer, filter: everything, last: 100, follow: false});
    expect(numbers(writer)).toEqual([6, 7, 8]);
  });

  it('tells a slow reader what it missed, where the gap is', () => {
    const size = one(0).lines.length;
    const sink = new StreamSink({now: () => 0, capacityBytes: size * 4});
    const writer = new FakeWriter(1);
    sink.subscribe({writer, filter: everything, follow: true});
    for (let n = 0; n < 8; n += 1) sink.write(one(n));
    expect(numbers(writer)).toEqual([0]);
    expect(sink.stats()).toMatchObject({queueDepth: size * 4, dropped: 3});
    writer.room = 3;
    writer.happen('drain');
    // It has taken three more; the next ones go behind what it is told.
    sink.write(one(8));
    writer.room = Infinity;
    writer.happen('drain');
    sink.write(one(9));
    const seen = writer.lines.map(({attributes: {n}, lost}) => lost?.events ?? n);
    expect(seen).toEqual([0, 1, 2, 3, 4, 3, 8, 9]);
    expect(writer.lines[5]?.event).toBe('scope.lost');
    expect(sink.stats()).toMatchObject({written: 7, dropped: 3, queueDepth: 0});
  });

  it('tells a gap that nothing has followed once the reader has caught up', () => {
    const sink = new StreamSink({now: () => 0, capacityBytes: one(0).lines.length});
    const writer = new FakeWriter(1);
    sink.subscribe({writer, filter: everything, follow: true});
    for (let n = 0; n < 4; n += 1) sink.write(one(n));
    writer.room = Infinity;
    writer.happen('drain');
    expect(writer.lines.map(({attributes: {n}, lost}) => lost?.events ?? n)).toEqual([0, 1, 2]);
  });

  it('has so many readers and no more', () => {
    const sink = new StreamSink({now: () => 0});
    const subscribe = (): void => {
      sink.subscribe({writer: new FakeWriter(), filter: everything, follow: true});
    };
    for (let n = 0; n < 16; n += 1) subscribe();
    expect(subscribe).toThrow(expect.objectContaining({reason: 'AgentUnavailable'}) as Error);
  });

  it('the gap’s line is laid out as every other line', () => {
    const sink = new StreamSink({now: () => 0, capacityBytes: 1});
    const raw: Buffer[] = [];
    let taking = false;
    let drain = (): void => undefined;
    sink.subscribe({
      writer: {
        write: bytes => {
          raw.push(Buffer.from(bytes));
          return taking;
        },
        on: (event, listener) => (event === 'drain' ? (drain = listener) : undefined),
        end: () => undefined,
      },
      filter: everything,
      follow: true,
    });
    for (let n = 0; n < 3; n += 1) sink.write(one(n));
    taking = true;
    drain();
    const told = raw.at(-1) ?? Buffer.alloc(0);
    expect(eventNameAt(told, 0, told.length)).toBe('scope.lost');
  });

  it('a slow reader costs nobody else anything, and is forgotten when it goes', () => {
    const sink = new StreamSink({now: () => 0, capacityBytes: 1});
    const [slow, quick] = [new FakeWriter(0), new FakeWriter()];
    sink.subscribe({writer: slow, filter: everything, follow: true});
    sink.subscribe({writer: quick, filter: everything, follow: true});
    for (let n = 0; n < 5; n += 1) sink.write(one(n));
    expect(numbers(quick)).toEqual([0, 1, 2, 3, 4]);
    slow.happen('close');
    sink.write(one(5));
    expect(numbers(slow)).toEqual([0]);
  });
});
