import type {EventBatch, EventSink, SinkStats} from '@scope/core';
import {LineFields, fieldMark} from '@scope/core';
import {Counter, Gauge, Registry, collectDefaultMetrics} from 'prom-client';
import {Durations} from './durations';
import {EventCounts} from './event-counts';

/** Read at each scrape: what this sink can not count itself. */
export interface ScrapeSource {
  /** Live sessions by state. */
  sessions(): Readonly<Record<string, number>>;
  /** Since the start: records lost before they could be decoded, events over their rate limit. */
  lost(): Readonly<Record<'ring' | 'rate_limit', number>>;
  sinks(): readonly {readonly name: string; readonly stats: SinkStats}[];
}

export interface PrometheusSinkOptions {
  readonly source: ScrapeSource;
  readonly build: {readonly version: string; readonly revision: string};
}

/** In the order that the decoder writes them in. */
const MARKS = {
  method: fieldMark('http.request.method'),
  status: fieldMark('http.response.status_code'),
  role: fieldMark('scope.http.role'),
  duration: fieldMark('scope.http.duration'),
};

/** Numbers for GET /metrics: event counts, HTTP durations, and how this agent itself fares. */
export class PrometheusSink implements EventSink {
  readonly name = 'prometheus';
  private readonly registry = new Registry();
  private readonly counts = new EventCounts();
  private readonly bySession = new WeakMap<EventBatch['session'], EventCounts>();
  private readonly server = new Durations(
    'http_server_request_duration_seconds',
    'HTTP requests that scoped processes served.',
  );
  private readonly client = new Durations(
    'http_client_request_duration_seconds',
    'HTTP requests that scoped processes made.',
  );
  private written = 0;

  constructor({source, build}: PrometheusSinkOptions) {
    const registers = [this.registry];
    collectDefaultMetrics({register: this.registry});
    new Gauge({
      name: 'scope_build_info',
      help: 'Version of this agent; always 1.',
      labelNames: ['version', 'revision', 'node_version'],
      registers,
    }).set({...build, node_version: process.version}, 1);
    this.gauge('scope_sessions', 'Sessions by state.', 'state', () => source.sessions());
    this.counter('scope_events', 'Events by name.', 'event', () => this.counts.toJSON());
    this.counter('scope_records_lost', 'Records and events that were lost, by reason.', 'reason', () => source.lost());
    const ofSinks = (pick: (stats: SinkStats) => number) => (): Record<string, number> =>
      Object.fromEntries(source.sinks().map(({name, stats}) => [name, pick(stats)]));
    const queueDepth = ofSinks(stats => stats.queueDepth);
    const queueCapacity = ofSinks(stats => stats.queueCapacity);
    this.gauge('scope_sink_queue_depth_bytes', 'Bytes that wait for a sink.', 'sink', queueDepth);
    this.gauge('scope_sink_queue_capacity_bytes', 'Bytes that may wait for a sink.', 'sink', queueCapacity);
    this.counter(
      'scope_sink_written',
      'Events that a sink wrote.',
      'sink',
      ofSinks(stats => stats.written),
    );
    this.counter(
      'scope_sink_dropped',
      'Events that a sink could not take.',
      'sink',
      ofSinks(stats => stats.dropped),
    );
  }

  write(batch: EventBatch): void {
    this.written += batch.events;
    const ofSession = this.countsOf(batch.session);
    const {summary} = batch;
    if (summary !== undefined) {
      this.counts.addAll(summary.events);
      ofSession.addAll(summary.events);
      for (const {role, method, status, ns} of summary.exchanges) {
        const seconds = ns.map(each => each / 1e9);
        this.observe(batch, role, method, status, seconds);
      }
      return;
    }
    this.counts.add(batch, (name, start, end) => {
      ofSession.increment(name);
      if (name === 'http.exchange') this.observeLine(batch, batch.lines.toString('latin1', start, end));
    });
  }

  /** It takes everything. */
  droppedOf(): number {
    return 0;
  }

  stats(): SinkStats {
    return {queueDepth: 0, queueCapacity: 0, written: this.written, dropped: 0};
  }

  /** One session's events by name. */
  countsOf(session: EventBatch['session']): EventCounts {
    let counts = this.bySession.get(session);
    if (counts === undefined) this.bySession.set(session, (counts = new EventCounts()));
    return counts;
  }

  /** Prometheus text format 0.0.4 and its content type. */
  async render(): Promise<{contentType: string; text: string}> {
    return {
      contentType: this.registry.contentType,
      text: `${await this.registry.metrics()}${this.server.text()}${this.client.text()}`,
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private observeLine(batch: EventBatch, line: string): void {
    const fields = new LineFields(line);
    const method = fields.text(MARKS.method) ?? '_OTHER';
    const status = fields.number(MARKS.status) ?? 0;
    const role = fields.text(MARKS.role);
    const seconds = fields.number(MARKS.duration);
    if (seconds !== undefined) this.observe(batch, role, method, status, [seconds]);
  }

  private observe(
    {session: {process}}: EventBatch,
    role: string | undefined,
    method: string,
    status: number,
    seconds: readonly number[],
  ): void {
    const service = process.service ?? process.workload ?? process.pod ?? process.name;
    (role === 'client' ? this.client : this.server).observe(service, method, status, seconds);
  }

  private gauge(name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void {
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [key, value] of Object.entries(read())) this.set({[label]: key}, value);
      },
    });
  }

  private counter(name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void {
    new Counter({
      name: `${name}_total`,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [key, value] of Object.entries(read())) this.inc({[label]: key}, value);
      },
    });
  }
}
