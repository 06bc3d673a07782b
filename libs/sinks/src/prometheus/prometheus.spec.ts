import {fakeBatch, session} from '../batch.fake';
import {PrometheusSink} from './prometheus.sink';

function setUp() {
  const source = {
    sessions: () => ({Scoped: 2}),
    lost: () => ({ring: 5, rate_limit: 1}),
    sinks: () => [{name: 'otlp', stats: {queueDepth: 10, queueCapacity: 100, written: 3, dropped: 4}}],
  };
  return new PrometheusSink({source, build: {version: '1.2.3', revision: 'abc'}});
}

const exchange = (seconds: number, more: object = {}): [string, object] => [
  'http.exchange',
  {
    'http.request.method': 'GET',
    'http.response.status_code': 200,
    'scope.http.role': 'server',
    'scope.http.duration': seconds,
    ...more,
  },
];

describe('GET /metrics', () => {
  it('tells of the agent, its sessions, its losses and its queues', async () => {
    const sink = setUp();
    const {text, contentType} = await sink.render();
    expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const line of [
      `scope_build_info{version="1.2.3",revision="abc",node_version="${process.version}"} 1`,
      'scope_sessions{state="Scoped"} 2',
      'scope_records_lost_total{reason="ring"} 5',
      'scope_sink_queue_depth_bytes{sink="otlp"} 10',
      'scope_sink_queue_capacity_bytes{sink="otlp"} 100',
      'scope_sink_dropped_total{sink="otlp"} 4',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
  });

  it('counts events by name, also per session, and unknown names together', async () => {
    const sink = setUp();
    sink.write(fakeBatch(['fs.open'], ['fs.open'], ['made.up']));
    const {text} = await sink.render();
    expect(text).toContain('scope_events_total{event="fs.open"} 2');
    expect(text).toContain('scope_events_total{event="other"} 1');
    expect((await sink.render()).text).toContain('scope_events_total{event="fs.open"} 2');
    expect(sink.countsOf(session).toJSON()).toEqual({'fs.open': 2, other: 1});
  });

  it('takes the decoder’s summary for the lines, to the same end', async () => {
    const [byLines, bySummary] = [setUp(), setUp()];
    const client = {'scope.http.role': 'client', 'http.request.method': 'PUT', 'http.response.status_code': undefined};
    const batch = fakeBatch(['net.open'], exchange(0.003), exchange(0.2), exchange(9, client));
    byLines.write(batch);
    const lines = Buffer.alloc(0);
    const exchanges = [
      {role: 'server', method: 'GET', status: 200, ns: [3e6, 2e8]},
      {role: 'client', method: 'PUT', status: 0, ns: [9e9]},
    ] as const;
    bySummary.write({...batch, lines, summary: {events: {'net.open': 1, 'http.exchange': 3}, exchanges}});
    const ours = /^(?:scope_events|http_)/;
    const [expected, found] = [await byLines.render(), await bySummary.render()].map(({text}) =>
      text.split('\n').filter(line => ours.test(line)),
    );
    expect(found).toEqual(expected);
    expect(expected?.length).toBeGreaterThan(30);
    expect(bySummary.countsOf(session).toJSON()).toEqual(byLines.countsOf(session).toJSON());
  });

  it('puts HTTP durations into the advised buckets, by role', async () => {
    const sink = setUp();
    sink.write(fakeBatch(exchange(0.003), exchange(0.2), exchange(9, {'scope.http.role': 'client'})));
    const {text} = await sink.render();
    const labels = 'service_name="nginx",http_request_method="GET",http_response_status_code="200"';
    expect(text).toContain(`http_server_request_duration_seconds_bucket{le="0.005",${labels}} 1`);
    expect(text).toContain(`http_server_request_duration_seconds_bucket{le="0.25",${labels}} 2`);
    expect(text).toContain(`http_server_request_duration_seconds_count{${labels}} 2`);
    expect(text).toContain(`http_client_request_duration_seconds_bucket{le="7.5",${labels}} 0`);
    expect(text).toContain(`http_client_request_duration_seconds_sum{${labels}} 9`);
  });

  it('never grows past its bound, whatever methods and codes a client invents', async () => {
    const sink = setUp();
    for (let n = 0; n < 600; n += 1) sink.write(fakeBatch(exchange(0.1, {'http.response.status_code': 1000 + n})));
    const {text} = await sink.render();
    expect(text.match(/^http_server_request_duration_seconds_count/gm)).toHaveLength(501);
    expect(text).toMatch(/http_server_request_duration_seconds_count\{service_name="other".*\} 100/);
  });
});
