import type {ScopeError} from '@scope/core';
import {FakeClock} from '@scope/core';
import {fakeBatch, session} from '../batch.fake';
import type {LogRecord} from './log-record';
import {hrTimeOf, resourceOf} from './log-record';
import {logsUrl} from './otlp-exporter';
import type {LogExporter} from './otlp-logs.sink';
import {OtlpLogsSink} from './otlp-logs.sink';

class FakeExporter implements LogExporter {
  readonly requests: LogRecord[][] = [];
  failures = 0;
  /** It takes a request and never answers. */
  hangs = false;

  export(records: LogRecord[], done: (result: {code: number; error?: Error}) => void): void {
    if (this.hangs) return;
    if (this.failures > 0) {
      this.failures -= 1;
      done({code: 1, error: new Error('503')});
    } else {
      this.requests.push(records);
      done({code: 0});
    }
  }

  shutdown(): Promise<void> {
    return this.hangs ? new Promise(() => undefined) : Promise.resolve();
  }
}

const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** Lets time pass until nothing sleeps any more. */
async function pass(clock: FakeClock): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) {
    await settle();
    if (clock.sleeping === 0) return;
    await clock.advance(20_000);
  }
}

function setUp(capacityBytes = 1 << 20) {
  const [exporter, clock] = [new FakeExporter(), new FakeClock(1_767_322_000_500)];
  const errors: ScopeError[] = [];
  const sink = new OtlpLogsSink({
    exporter,
    clock,
    version: '1.2.3',
    capacityBytes,
    failed: error => errors.push(error),
  });
  return {exporter, clock, sink, errors};
}

describe('OtlpLogsSink', () => {
  it('sends events as log records, many in one request, with one resource per process', async () => {
    const {exporter, clock, sink} = setUp();
    sink.write(fakeBatch(['fs.open', {'file.path': '/etc/hosts'}], ['fs.error', {'error.type': 'ENOENT'}]));
    sink.write(fakeBatch(['http.exchange', {'url.path': '/'}]));
    await pass(clock);
    expect(exporter.requests).toHaveLength(1);
    const [first, second, third] = exporter.requests[0] ?? [];
    expect(first).toMatchObject({
      eventName: 'fs.open',
      hrTime: [1_767_323_045, 123_456_789],
      severityNumber: 9,
      attributes: {'file.path': '/etc/hosts'},
    });
    expect(second?.severityNumber).toBe(17);
    expect(third?.resource).toBe(first?.resource);
    expect(sink.stats()).toMatchObject({written: 3, dropped: 0, queueDepth: 0});
  });

  it('tries again with pauses, tells of it once, and goes on', async () => {
    const {exporter, clock, sink, errors} = setUp();
    exporter.failures = 3;
    sink.write(fakeBatch(['fs.open']));
    await pass(clock);
    expect(errors.map(({reason}) => reason)).toEqual(['ExportFailed']);
    expect(sink.stats()).toMatchObject({written: 1, dropped: 0});
  });

  it('gives up in the end, and counts', async () => {
    const {exporter, clock, sink} = setUp();
    exporter.failures = 6;
    sink.write(fakeBatch(['fs.open'], ['fs.open']));
    await pass(clock);
    expect(sink.stats()).toMatchObject({written: 0, dropped: 2});
  });

  it('drops and counts what finds no room while the collector is away, and tells it where it is missing', async () => {
    const batch = fakeBatch(['fs.open']);
    const {sink, exporter, clock} = setUp(batch.lines.length * 4);
    for (let n = 0; n < 7; n += 1) sink.write(batch);
    expect([sink.stats().dropped, sink.droppedOf(session)]).toEqual([3, 3]);
    await pass(clock);
    sink.write(batch);
    await pass(clock);
    const told = exporter.requests
      .flat()
      .map(({eventName, attributes}) => [eventName, attributes['scope.lost.events']]);
    expect(told).toEqual([
      ...Array.from({length: 4}, () => ['fs.open', undefined]),
      ['scope.lost', 3],
      ['fs.open', undefined],
    ]);
    expect(sink.stats()).toMatchObject({written: 5, dropped: 3, queueDepth: 0});
  });

  it('stays within its bound however long a collector hangs, and ends all the same', async () => {
    const batch = fakeBatch(['fs.open'], ['fs.close']);
    const {sink, exporter, clock} = setUp(batch.lines.length * 10);
    exporter.hangs = true;
    sink.write(batch);
    await settle();
    await clock.advance(50);
    await settle();
    for (let n = 0; n < 100; n += 1) sink.write(batch);
    expect(sink.stats()).toMatchObject({queueDepth: batch.lines.length * 10, dropped: 182});
    let closed = false;
    const closing = sink.close().then(() => (closed = true));
    await settle();
    expect(closed).toBe(false);
    await clock.advance(5000);
    await settle();
    await clock.advance(500);
    await closing;
    expect(sink.stats()).toMatchObject({queueDepth: 0, written: 0, dropped: 202});
  });
});

describe('the resource', () => {
  it('names a pod’s process by the Kubernetes convention', () => {
    const {attributes} = resourceOf(
      {
        ...session.process,
        pod: 'checkout-7d9f',
        podUid: 'u',
        namespace: 'shop',
        container: 'app',
        node: 'n1',
        workload: 'checkout',
        workloadKind: 'deployment',
      },
      '1.2.3',
    );
    expect(attributes).toMatchObject({
      'service.name': 'checkout',
      'k8s.namespace.name': 'shop',
      'k8s.pod.name': 'checkout-7d9f',
      'k8s.pod.uid': 'u',
      'k8s.container.name': 'app',
      'k8s.node.name': 'n1',
      'k8s.deployment.name': 'checkout',
      'process.pid': 7,
    });
    expect(attributes).not.toHaveProperty(['container.name']);
  });

  it('of a process of the host is the process itself', () => {
    const {attributes} = resourceOf(session.process, '1.2.3');
    expect(attributes).toMatchObject({'service.name': 'nginx', 'process.executable.path': '/usr/sbin/nginx'});
    expect(Object.keys(attributes).filter(key => key.startsWith('k8s.'))).toEqual([]);
  });
});

it.each([
  ['2026-01-02T03:04:05.123456789Z', [1_767_323_045, 123_456_789]],
  ['2026-01-02T03:04:05.5Z', [1_767_323_045, 500_000_000]],
  ['2026-01-02T03:04:05Z', [1_767_323_045, 0]],
])('%s in seconds and nanoseconds', (time, expected) => {
  expect(hrTimeOf(time)).toEqual(expected);
});

it('an endpoint is a base, or a whole address', () => {
  expect(logsUrl('http://collector:4318')).toBe('http://collector:4318/v1/logs');
  expect(logsUrl('https://x/custom')).toBe('https://x/custom');
  expect(() => logsUrl('collector:4318')).toThrow(expect.objectContaining({reason: 'InvalidArgument'}) as Error);
});
