import type {
  SessionCounts,
  SessionStream,
  SessionStreamRequest,
  SessionStreams,
  SessionView,
  RateLimit,
} from '@scope/attach';
import type {ScopeEvent} from '@scope/api';
import type {Clock, EventSink, ScopeErrorView} from '@scope/core';
import {ScopeError} from '@scope/core';
import type {NativeBatch, NativeStats} from '@scope/native';
import type {EventBus} from '@scope/pipeline';
import {SessionPipeline} from '@scope/pipeline';
import type {EventCounts} from '@scope/sinks';
import type {Kept} from '@scope/sinks';
import {HistoryFolder, MarkLog, NdjsonSink, RotatingFile, writeError} from '@scope/sinks';
import type {Logger} from '@scope/logging';
import type {Observable} from 'rxjs';
import {map} from 'rxjs';

export interface StreamsOptions {
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly countsOf: (session: SessionStreamRequest['session']) => EventCounts;
}

const EVENTS_FILE = {maxBytes: 64 << 20, maxFiles: 4};
const METRICS_FILE = {maxBytes: 4 << 20, maxFiles: 2};
const METRICS_MS = 10_000;

/** Puts a session's pipeline together: its own history, and everyone's sinks behind the bus. */
export class AgentSessionStreams implements SessionStreams {
  private rateLimited = 0;
  private lost = 0;
  private readonly open_ = new Set<AgentSessionStream>();

  constructor(private readonly options: StreamsOptions) {}

  open(request: SessionStreamRequest): Promise<SessionStream> {
    // A throw of create becomes this promise's rejection: nothing was done to the process yet.
    return Promise.resolve().then(() => {
      const folder = folderOf(request);
      const stream = new AgentSessionStream(request, folder, this.options, counts => {
        this.open_.delete(stream);
        this.rateLimited += counts.rateLimited;
        this.lost += counts.lost;
      });
      this.open_.add(stream);
      return stream;
    });
  }

  /** Totals over all sessions since the start. */
  totals(): {ring: number; rate_limit: number} {
    const live = [...this.open_].map(stream => stream.lastCounts());
    return {
      ring: live.reduce((sum, {lost}) => sum + lost, this.lost),
      rate_limit: live.reduce((sum, {rateLimited}) => sum + rateLimited, this.rateLimited),
    };
  }
}

function folderOf({session, historyDirectory, resumes}: SessionStreamRequest): HistoryFolder | undefined {
  if (historyDirectory === undefined) return undefined;
  return resumes
    ? HistoryFolder.reopen(historyDirectory, session.id)
    : HistoryFolder.create(historyDirectory, session.id);
}

/** What is written per session besides the shared sinks. */
class AgentSessionStream implements SessionStream {
  readonly history?: string;
  private readonly pipeline: SessionPipeline;
  private readonly sinks: EventSink[] = [];
  private readonly troubles: ScopeErrorView[] = [];
  private readonly events: RotatingFile | undefined;
  private readonly metrics: RotatingFile | undefined;
  private readonly stopMetrics: () => void = () => undefined;
  readonly kept: Kept & {readonly at?: Date};
  private latest: NativeStats | undefined;
  private readonly session: SessionStreamRequest['session'];
  private readonly marks: MarkLog;

  constructor(
    {session, marks, resumes}: SessionStreamRequest,
    private readonly folder: HistoryFolder | undefined,
    private readonly options: StreamsOptions,
    private readonly closed: (counts: SessionCounts) => void,
  ) {
    this.session = session;
    this.kept = resumes ? MarkLog.recover(marks, folder?.file('events.ndjson')) : {events: 0, rateLimited: 0};
    this.marks = openMarks(marks, this.kept, () => this.pipeline.counts().rateLimited);
    if (folder !== undefined) {
      this.history = folder.path;
      this.events = new RotatingFile({path: folder.file('events.ndjson'), marks: this.marks, ...EVENTS_FILE});
      this.sinks.push(this.historySink(this.events, folder.file('events.ndjson')));
      this.metrics = new RotatingFile({path: folder.file('metrics.ndjson'), ...METRICS_FILE});
      this.stopMetrics = options.clock.every(METRICS_MS, () => void this.writeMetrics());
    }
    this.pipeline = new SessionPipeline({
      session,
      bus: options.bus,
      clock: options.clock,
      sinks: this.sinks,
      before: {delivered: this.kept.events, rateLimited: this.kept.rateLimited},
    });
  }

  limit(rate: RateLimit | undefined): void {
    this.pipeline.limit(rate?.eventsPerSecond);
  }

  consume(batches$: Observable<NativeBatch>): void {
    this.pipeline.consume(this.folder === undefined ? batches$.pipe(map(batch => this.noted(batch))) : batches$);
  }

  /** Without a history the lines are where standard output, or else the first sink, has taken them. */
  private noted(batch: NativeBatch): NativeBatch {
    const written = (): void => {
      this.marks.note(batch.events, batch.mark);
    };
    if (this.options.bus.all().some(({name}) => name === 'stdout')) return {...batch, written};
    written();
    return batch;
  }

  room(): Promise<void> | undefined {
    return this.pipeline.room();
  }

  tell(event: ScopeEvent): void {
    this.pipeline.tell({events: 1, lines: Buffer.from(`${JSON.stringify(event)}\n`)});
  }

  counts(native: NativeStats | undefined): SessionCounts {
    this.latest = native ?? this.latest;
    return this.lastCounts();
  }

  lastCounts(): SessionCounts {
    const losses = this.latest?.lost ?? {};
    const rotated = this.events?.forgotten ?? 0;
    return {
      ...this.pipeline.counts(),
      lost: losses.records ?? 0,
      ...(Object.keys(losses).length > 0 && {losses}),
      ...(rotated > 0 && {rotated}),
    };
  }

  problems(): readonly ScopeErrorView[] {
    return this.troubles;
  }

  record(view: SessionView): void {
    try {
      this.folder?.write({...view, events: this.options.countsOf(this.session)});
    } catch (thrown) {
      this.trouble(ScopeError.of(thrown));
    }
  }

  async close(): Promise<void> {
    this.pipeline.close();
    this.stopMetrics();
    await Promise.allSettled(this.sinks.map(sink => sink.close()));
    await this.writeMetrics();
    await this.metrics?.close().catch(() => undefined);
    this.marks.close();
    this.closed(this.lastCounts());
  }

  private historySink(file: RotatingFile, path: string): EventSink {
    return new NdjsonSink({
      name: 'history',
      file,
      what: `Session history ${path}`,
      clock: this.options.clock,
      failed: error => {
        this.trouble(error);
      },
    });
  }

  private async writeMetrics(): Promise<void> {
    if (this.metrics === undefined) return;
    const time = new Date(this.options.clock.now()).toISOString();
    const line = {time, counts: this.lastCounts(), events: this.options.countsOf(this.session)};
    await this.metrics.append([Buffer.from(`${JSON.stringify(line)}\n`)], 1).catch((thrown: unknown) => {
      this.options.logger.warn({err: thrown, session: this.session.id}, 'metrics history not written');
    });
  }

  private trouble(error: ScopeError): void {
    if (this.troubles.some(({reason}) => reason === error.reason)) return;
    this.troubles.push(error.toView());
    this.options.logger.warn(
      {session: this.session.id, reason: error.reason, message: error.message},
      'history trouble',
    );
  }
}

function openMarks(path: string, {mark, events, rateLimited}: Kept, now: () => number): MarkLog {
  try {
    return new MarkLog(path, {events, rateLimited, ...(mark !== undefined && {mark})}, now);
  } catch (thrown) {
    throw writeError(thrown, `The session's marks ${path}`);
  }
}
