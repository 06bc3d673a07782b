import type {EventBatch, EventSink, SinkStats} from '@scope/core';
import {FakeClock} from '@scope/core';
import fc from 'fast-check';
import {Subject} from 'rxjs';
import {EventBus} from './event-bus';
import {eventFilter, keepLines} from './event-filter';
import {RateLimiter} from './rate-limiter';
import type {RawBatch} from './session-pipeline';
import {SessionPipeline} from './session-pipeline';

const session = {id: 's1', process: {pid: 7, name: 'nginx', executable: '/usr/sbin/nginx'}};

function batch(...events: readonly [string, object?][]): EventBatch {
  const lines = events.map(([event, attributes = {}]) => {
    return `${JSON.stringify({time: '2026-01-02T03:04:05.123456789Z', event, process: session.process, attributes})}\n`;
  });
  return {session, events: events.length, lines: Buffer.from(lines.join(''))};
}

const names = (found: EventBatch | undefined): string[] =>
  (found?.lines.toString() ?? '')
    .split('\n')
    .filter(line => line !== '')
    .map(line => (JSON.parse(line) as {event: string}).event);

describe('eventFilter', () => {
  const all = batch(
    ['http.exchange', {'url.path': '/a'}],
    ['fs.open'],
    ['http.exchange', {'url.path': '/b'}],
    ['net.open'],
  );

  it('hands on the very batch when all of it passes', () => {
    expect(eventFilter({})(all)).toBe(all);
    expect(eventFilter({events: ['*']})(all)).toBe(all);
  });

  it('keeps events by the globs of their names', () => {
    const found = eventFilter({events: ['http.*', 'net.open']})(all);
    expect(names(found)).toEqual(['http.exchange', 'http.exchange', 'net.open']);
    expect(found?.events).toBe(3);
    expect(eventFilter({events: ['dns.*']})(all)).toBeUndefined();
  });

  it('keeps events by their attributes', () => {
    const found = eventFilter({attributes: {'url.path': '/b*'}})(all);
    expect(found?.events).toBe(1);
    expect(found?.lines.toString()).toContain('"/b"');
  });

  it('looks at session and process before any line', () => {
    expect(eventFilter({sessions: ['s2']})(all)).toBeUndefined();
    expect(eventFilter({processes: ['7']})(all)).toBe(all);
    expect(eventFilter({processes: ['ng*']})(all)).toBe(all);
    expect(eventFilter({processes: ['redis*']})(all)).toBeUndefined();
  });

  it('keeps a summary for exactly the lines that it is of', () => {
    const summarized = {...all, summary: {events: {'http.exchange': 2, 'fs.open': 1, 'net.open': 1}, exchanges: []}};
    expect(eventFilter({events: ['*']})(summarized)?.summary).toBe(summarized.summary);
    expect(eventFilter({events: ['http.*']})(summarized)).not.toHaveProperty('summary');
  });

  it('gives no view that keeps a large batch in memory for a few lines of it', () => {
    const large = batch(...Array.from({length: 100}, (_, n): [string] => [n === 50 ? 'dns.query' : 'fs.open']));
    const few = eventFilter({events: ['dns.*']})(large);
    expect(few?.lines.buffer.byteLength).toBe(few?.lines.length);
    const most = eventFilter({events: ['fs.*']})(large);
    expect(most?.lines.buffer.byteLength).toBeLessThanOrEqual(2 * (most?.lines.length ?? 0));
  });

  it('keeps exactly the chosen lines, whole and in order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.boolean()), {minLength: 1}), wanted => {
        const lines = wanted.map(([text, keep]) => `${JSON.stringify([text, keep])}\n`);
        const whole = {session, events: lines.length, lines: Buffer.from(lines.join(''))};
        let at = 0;
        const found = keepLines(whole, () => wanted[at++]?.[1] ?? false);
        expect(found?.lines.toString() ?? '').toBe(lines.filter((_, index) => wanted[index]?.[1]).join(''));
        expect(found?.events ?? 0).toBe(wanted.filter(([, keep]) => keep).length);
      }),
    );
  });
});

describe('RateLimiter', () => {
  it('lets one second’s worth through at once, then as time goes', () => {
    const limiter = new RateLimiter(100, 0);
    expect(limiter.take(250, 0)).toBe(100);
    expect(limiter.take(250, 0)).toBe(0);
    expect(limiter.take(250, 500)).toBe(50);
    expect(limiter.take(10, 100_000)).toBe(10);
    expect(limiter.take(250, 100_000)).toBe(90);
  });
});

class FakeSink implements EventSink {
  readonly name = 'fake';
  readonly batches: EventBatch[] = [];
  dropped = 0;
  wait: Promise<void> | undefined;
  isClosed = false;

  write(taken: EventBatch): void {
    this.batches.push(taken);
  }

  droppedOf(of: EventBatch['session']): number {
    return of === session ? this.dropped : 0;
  }

  room(): Promise<void> | undefined {
    return this.wait;
  }

  stats(): SinkStats {
    return {queueDepth: 0, queueCapacity: 0, written: 0, dropped: 0};
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

describe('SessionPipeline', () => {
  function setUp(options: Partial<ConstructorParameters<typeof SessionPipeline>[0]> = {}) {
    const [bus, clock, sink, own] = [new EventBus(), new FakeClock(), new FakeSink(), new FakeSink()];
    bus.add(sink);
    const pipeline = new SessionPipeline({session, bus, clock, sinks: [own], ...options});
    const source = new Subject<RawBatch>();
    pipeline.consume(source);
    return {bus, clock, sink, own, pipeline, source};
  }

  it('gives every batch, with its session, to its own sinks and to everyone’s', () => {
    const {source, sink, own, pipeline} = setUp();
    const {events, lines} = batch(['fs.open'], ['fs.close']);
    source.next({events, lines});
    expect(sink.batches).toEqual([{session, events, lines}]);
    expect(own.batches).toEqual(sink.batches);
    expect(pipeline.counts()).toEqual({delivered: 2, filtered: 0, rateLimited: 0, dropped: {}});
  });

  it('counts each event once: filtered, over the limit, or delivered', async () => {
    const {source, sink, pipeline, clock} = setUp({filter: eventFilter({events: ['http.*']})});
    pipeline.limit(2);
    source.next(batch(['http.exchange'], ['fs.open'], ['http.exchange'], ['http.exchange']));
    expect(pipeline.counts()).toEqual({delivered: 2, filtered: 1, rateLimited: 1, dropped: {}});
    expect(names(sink.batches[0])).toEqual(['http.exchange', 'http.exchange']);
    await clock.advance(1000);
    pipeline.limit(undefined);
    source.next(batch(...Array.from({length: 50}, (): [string] => ['http.exchange'])));
    expect(pipeline.counts()).toMatchObject({delivered: 52, rateLimited: 1});
  });

  it('tells every reader what the limit held back: once a second, and before what it tells itself', async () => {
    const {source, sink, own, pipeline, clock} = setUp();
    const lostOf = ({lines}: EventBatch): unknown => (JSON.parse(lines.toString()) as {lost?: unknown}).lost;
    pipeline.limit(10);
    const flood = batch(...Array.from({length: 25}, (): [string] => ['fs.open']));
    source.next(flood);
    await clock.advance(500);
    source.next(flood);
    await clock.advance(1000);
    source.next(flood);
    const told = sink.batches.filter(({events}) => events === 0);
    expect(told.map(found => [names(found), lostOf(found)])).toEqual([
      [['scope.lost'], {events: 15}],
      [['scope.lost'], {events: 20}],
    ]);
    pipeline.tell(batch(['process.unscoped']));
    expect(sink.batches.slice(-2).map(names)).toEqual([['scope.lost'], ['process.unscoped']]);
    expect(own.batches).toEqual(sink.batches);
    expect(pipeline.counts()).toMatchObject({delivered: 26, rateLimited: 50});
  });

  it('never holds back what a process’s life is told by, and counts only what it holds back', () => {
    const {source, sink, pipeline} = setUp();
    pipeline.limit(1);
    const {events, lines} = batch(['fs.open'], ['process.fork'], ['fs.close'], ['process.exec']);
    source.next({events, lines});
    source.next(batch(['process.scoped'], ['fs.open'], ['fs.open']));
    source.next(batch(['fs.open']));
    source.next(batch(['fs.open'], ['process.exit'], ['process.unscoped']));
    const passed = sink.batches.filter(found => found.events > 0);
    expect(passed.map(names)).toEqual([
      ['fs.open', 'process.exec'],
      ['process.scoped'],
      ['process.exit', 'process.unscoped'],
    ]);
    expect(passed.map(found => found.events)).toEqual([2, 1, 2]);
    expect(pipeline.counts()).toMatchObject({delivered: 5, rateLimited: 6});
  });

  it('tells of what was held back before it lets such an event through, once a second', async () => {
    const {source, sink, pipeline, clock} = setUp();
    pipeline.limit(1);
    source.next(batch(['fs.open'], ['fs.open']));
    await clock.advance(900);
    source.next(batch(['process.exec']));
    expect(sink.batches.map(names)).toEqual([['fs.open'], ['scope.lost'], ['process.exec']]);
  });

  it('says by sink what a sink could not take', () => {
    const {source, sink, own, pipeline} = setUp();
    source.next(batch(['fs.open'], ['fs.open'], ['fs.open']));
    sink.dropped = 2;
    expect(pipeline.counts()).toMatchObject({delivered: 3, dropped: {fake: 2}});
    own.dropped = 1;
    expect(pipeline.counts().dropped).toEqual({fake: 3});
  });

  it('is worth a wait for its own sinks, not for everyone’s', async () => {
    const {sink, own, pipeline} = setUp();
    sink.wait = Promise.resolve();
    expect(pipeline.room()).toBeUndefined();
    own.wait = Promise.resolve();
    await expect(pipeline.room()).resolves.toBeUndefined();
  });

  it('is silent once closed', () => {
    const {source, sink, pipeline} = setUp();
    pipeline.close();
    source.next(batch(['fs.open']));
    expect(sink.batches).toEqual([]);
  });
});

it('the bus closes its sinks with itself', async () => {
  const [bus, sink] = [new EventBus(), new FakeSink()];
  bus.add(sink);
  let completed = false;
  bus.batches$.subscribe({complete: () => (completed = true)});
  await bus.close();
  expect([sink.isClosed, completed]).toEqual([true, true]);
});
