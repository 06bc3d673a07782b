import {lstatSync} from 'node:fs';
import {join} from 'node:path';
import type {DynamicModule, Provider} from '@nestjs/common';
import {Module} from '@nestjs/common';
import type {ProcessTable} from '@scope/attach';
import {AttachService, FileJournal, FollowerProcess, InjectorProcess, ProcFs, SessionService} from '@scope/attach';
import type {Clock} from '@scope/core';
import {systemClock} from '@scope/core';
import type {NativeHub} from '@scope/native';
import {loadNative} from '@scope/native';
import {EventBus} from '@scope/pipeline';
import {
  DescriptorFile,
  FlowTable,
  NdjsonSink,
  OtlpLogsSink,
  PrometheusSink,
  StreamSink,
  createOtlpExporter,
} from '@scope/sinks';
import type {Logger} from '@scope/logging';
import type {AgentOptions} from './agent-options';
import {addEventRoutes} from './http/event.routes';
import {HealthServer} from './http/health-server';
import {addHealthRoute, addProbeRoutes} from './http/health.routes';
import {addProcessRoutes} from './http/process.routes';
import {Router} from './http/router';
import {addSessionRoutes} from './http/session.routes';
import {SocketServer} from './http/socket-server';
import {AgentLifecycle} from './lifecycle/agent-lifecycle';
import {Succession} from './lifecycle/succession';
import {AgentSessionStreams} from './sessions/session-streams';
import {AGENT_OPTIONS, CLOCK, LOGGER, NATIVE_HUB, PROCESSES} from './tokens';

/** Sinks that are there whatever the options; the others are added by `addOptionalSinks`. */
const sinkProviders: Provider[] = [
  {provide: StreamSink, useFactory: (clock: Clock) => new StreamSink({now: () => clock.now()}), inject: [CLOCK]},
  {provide: FlowTable, useFactory: () => new FlowTable()},
  {
    provide: PrometheusSink,
    useFactory: (options: AgentOptions, bus: EventBus, late: LateTotals) =>
      new PrometheusSink({
        build: options.build,
        source: {
          sessions: () => late.sessionsByState(),
          lost: () => late.lost(),
          sinks: () => bus.all().map(sink => ({name: sink.name, stats: sink.stats()})),
        },
      }),
    inject: [AGENT_OPTIONS, EventBus, 'LateTotals'],
  },
];

/** What metrics read from providers that themselves need the metrics: bound once all of them exist. */
interface LateTotals {
  sessionsByState: () => Record<string, number>;
  lost: () => {ring: number; rate_limit: number};
}

const providers: Provider[] = [
  {provide: CLOCK, useValue: systemClock},
  {provide: PROCESSES, useFactory: () => new ProcFs()},
  {provide: EventBus, useFactory: () => new EventBus()},
  {provide: NATIVE_HUB, useFactory: () => loadNative()},
  {
    provide: 'LateTotals',
    useFactory: (): LateTotals => ({sessionsByState: () => ({}), lost: () => ({ring: 0, rate_limit: 0})}),
  },
  ...sinkProviders,
  {
    provide: AgentSessionStreams,
    useFactory: (bus: EventBus, clock: Clock, logger: Logger, metrics: PrometheusSink, late: LateTotals) => {
      const streams = new AgentSessionStreams({bus, clock, logger, countsOf: session => metrics.countsOf(session)});
      late.lost = () => streams.totals();
      return streams;
    },
    inject: [EventBus, CLOCK, LOGGER, PrometheusSink, 'LateTotals'],
  },
  {
    provide: SessionService,
    useFactory: createSessionService,
    inject: [AGENT_OPTIONS, CLOCK, PROCESSES, NATIVE_HUB, AgentSessionStreams, 'LateTotals'],
  },
  {provide: AttachService, useExisting: SessionService},
  Succession,
  {
    provide: AgentLifecycle,
    useFactory: createLifecycle,
    inject: [
      AGENT_OPTIONS,
      LOGGER,
      CLOCK,
      SessionService,
      EventBus,
      PROCESSES,
      StreamSink,
      FlowTable,
      PrometheusSink,
      Succession,
    ],
  },
];

/**
 * The agent of one host or node. `more` are modules for the place it runs in (Kubernetes): they get AttachService,
 * EventBus, CLOCK, LOGGER and AGENT_OPTIONS injected.
 */
@Module({})
export class AgentModule {
  static with(options: AgentOptions, logger: Logger, more: DynamicModule['imports'] = []): DynamicModule {
    return {
      module: AgentModule,
      global: true,
      imports: more,
      providers: [{provide: AGENT_OPTIONS, useValue: options}, {provide: LOGGER, useValue: logger}, ...providers],
      exports: [AGENT_OPTIONS, LOGGER, CLOCK, EventBus, AttachService, PROCESSES, Succession],
    };
  }
}

function createSessionService(
  options: AgentOptions,
  clock: Clock,
  processes: ProcessTable,
  native: NativeHub,
  streams: AgentSessionStreams,
  late: LateTotals,
): SessionService {
  const {injectorPath: path, mostChildren, ringBytes} = options;
  const rings = ringBytes === undefined ? {} : {ringBytes};
  const service = new SessionService({
    injector: new InjectorProcess({path, ...rings}),
    follower: new FollowerProcess({path, mostChildren, ...rings}),
    native,
    streams,
    journal: new FileJournal(join(options.stateDirectory, 'sessions')),
    clock,
    processes,
    uid: process.geteuid?.() ?? 0,
    agent: {pid: process.pid, startTime: processes.startTime(process.pid) ?? ''},
    isMapped,
  });
  late.sessionsByState = () => {
    const byState: Record<string, number> = {};
    for (const {state} of service.sessions()) byState[state] = (byState[state] ?? 0) + 1;
    return byState;
  };
  return service;
}

/** Resolves once the sessions of an agent that is gone are taken back: what comes up beside it asks for no process before. */
async function createLifecycle(
  options: AgentOptions,
  logger: Logger,
  clock: Clock,
  sessions: SessionService,
  bus: EventBus,
  processes: ProcessTable,
  stream: StreamSink,
  flows: FlowTable,
  metrics: PrometheusSink,
  succession: Succession,
): Promise<AgentLifecycle> {
  for (const sink of [stream, flows, metrics]) bus.add(sink);
  await addOptionalSinks(options, bus, clock, logger);
  const [router, probes] = [new Router(), new Router()];
  const lifecycle = new AgentLifecycle({
    options,
    sessions,
    bus,
    succession,
    logger,
    server: new SocketServer(options.socketPath, router),
    health: new HealthServer(probes),
  });
  const isReady = (): boolean => lifecycle.isReady();
  addProbeRoutes(probes, metrics, isReady);
  addProbeRoutes(router, metrics, isReady);
  addHealthRoute(router, options);
  addEventRoutes(router, stream, flows);
  const settled = router.behind(() => lifecycle.settled());
  addSessionRoutes(settled, sessions);
  addProcessRoutes(settled, processes, sessions);
  await lifecycle.open();
  return lifecycle;
}

async function addOptionalSinks(options: AgentOptions, bus: EventBus, clock: Clock, logger: Logger): Promise<void> {
  if (options.stdoutEvents) {
    bus.add(
      new NdjsonSink({
        name: 'stdout',
        file: new DescriptorFile(1, ms => clock.sleep(ms)),
        what: 'stdout',
        clock,
        failed: error => {
          logger.error({reason: error.reason, message: error.message}, 'stdout not written');
        },
      }),
    );
  }
  if (options.otlpEndpoint !== undefined) {
    bus.add(
      new OtlpLogsSink({
        exporter: await createOtlpExporter(options.otlpEndpoint),
        clock,
        version: options.build.version,
        failed: error => {
          logger.warn({reason: error.reason, message: error.message}, 'export failing');
        },
      }),
    );
  }
}

/** An unmapped range has no entry there; a process that is gone has none either, and is noticed by its start time. */
function isMapped(mapFile: string): boolean {
  try {
    return lstatSync(mapFile, {throwIfNoEntry: false}) !== undefined;
  } catch {
    return true;
  }
}
