// The programs that the torture attaches to, each under a load that verifies every byte.
import {copyFileSync} from 'node:fs';
import {join} from 'node:path';
import {CXX_FLAGS, C_FLAGS, compileC, compileGo} from '../support/compile';
import {startHttpLoad} from '../support/http-load';
import {libcs} from '../support/libcs';
import {startRedisLoad} from '../support/redis-load';
import type {HttpServer, TesterOptions} from '../support/servers';
import {
  startBusybox,
  startGoServer,
  startJavaServer,
  startMuslServer,
  startNginx,
  startNodeServer,
  startPythonServer,
  startRedis,
  startTester,
} from '../support/servers';
import {innermost} from '../support/conditions';
import {Program} from '../support/program';
import type {Stage} from '../support/stage';
import {until} from '../support/until';

/** Resident memory, and how many mappings. */
export interface Growth {
  readonly kiB: number;
  readonly mappings: number;
}

export interface Victim {
  readonly program: Program;
  /** Whom to attach to, where it is not the program itself but what that has started. */
  readonly pid?: number;
  /** The injector's, besides. */
  readonly flags?: readonly string[];
  /** What its own work may add while it is watched. */
  readonly growth: Growth;
  /** Verified pieces of work so far. */
  done(): Promise<number>;
  /** Throws when anything went wrong in it or in what it answered. */
  assertUnharmed(): void;
  /** Ends the load; what comes back is to be as before it. */
  rest(): Promise<void>;
}

export type Start = (stage: Stage) => Promise<Victim>;

/** By programs that allocate what they need once; that allocate as they go; that collect their garbage later. */
const QUIET: Growth = {kiB: 512, mappings: 4};
const ALLOCATES: Growth = {kiB: 4 << 10, mappings: 10};
/** With all stacks of threads that happen to be there. */
const COMES_AND_GOES: Growth = {kiB: 8 << 10, mappings: 120};
const COLLECTS_GARBAGE: Growth = {kiB: 64 << 10, mappings: 60};

const LANES = 4;

function assertNoErrors(what: string, errors: readonly string[]): void {
  if (errors.length > 0)
    throw new Error(`${what}: ${errors.length} failed, the first: ${errors.slice(0, 3).join('; ')}`);
}

const underHttpLoad =
  (start: (stage: Stage) => Promise<HttpServer>, {growth = QUIET, keepAlive = true, heads = true} = {}): Start =>
  async stage => {
    const server = await start(stage);
    const load = stage.use(startHttpLoad(server, {lanes: LANES, keepAlive, heads}));
    await until('the first answers', () => load.done > 20);
    return {
      program: server.program,
      growth,
      done: () => Promise.resolve(load.done),
      assertUnharmed: () => {
        server.program.assertAlive();
        assertNoErrors(`requests to ${server.name}`, load.errors);
        if (keepAlive && load.connections !== LANES)
          throw new Error(`${load.connections - LANES} connections were dropped by ${server.name}`);
      },
      rest: () => load.close(),
    };
  };

interface Count {
  /** Lets it work, where it does not by itself. */
  readonly begin?: string;
  /** Asks for the count, which is word number `field` of the answer that begins with `word`. */
  readonly command: string;
  readonly word: string;
  readonly field?: number;
  readonly growth?: Growth;
}

/** A tester that verifies its own bytes and counts. */
const counted = (program: Program, {begin, command, word, field = 0, growth = ALLOCATES}: Count): Victim => ({
  program,
  growth,
  done: async () => {
    const count = Number((await program.ask(command, word)).split(' ')[field]);
    if (begin !== undefined) await program.ask(begin, 'running');
    return count;
  },
  assertUnharmed: () => {
    program.assertAlive();
  },
  rest: async () => {
    if (command === 'pause') await program.ask(command, word);
  },
});

const STATUS: Count = {command: 'status', word: 'status'};

const verifyingItself =
  (source: string, count: Count = STATUS, options: TesterOptions = {}): Start =>
  async stage => {
    const {program} = await startTester(stage, source, options);
    if (count.begin !== undefined) await program.ask(count.begin, 'running');
    return counted(program, count);
  };

const channels = (pairs: number, restUs: number): Start =>
  verifyingItself('channels.c', {begin: 'run', command: 'pause', word: 'paused'}, {args: [`${pairs}`, `${restUs}`]});

/** One of every kind of program that people run. */
export const kinds: Readonly<Record<string, Start>> = {
  nginx: underHttpLoad(stage => startNginx(stage, {sendfile: true})),
  redis: async stage => {
    const server = await startRedis(stage);
    const load = stage.use(startRedisLoad(server.port));
    await until('the first answers', () => load.done > 20);
    return {
      program: server.program,
      growth: ALLOCATES,
      done: () => Promise.resolve(load.done),
      assertUnharmed: () => {
        server.program.assertAlive();
        assertNoErrors('redis commands', load.errors);
      },
      rest: () => load.close(),
    };
  },
  go: underHttpLoad(startGoServer, {growth: COLLECTS_GARBAGE}),
  node: underHttpLoad(startNodeServer, {growth: COLLECTS_GARBAGE}),
  java: underHttpLoad(startJavaServer, {growth: COLLECTS_GARBAGE}),
  python: underHttpLoad(startPythonServer, {growth: ALLOCATES}),
  'a musl server': underHttpLoad(startMuslServer, {growth: ALLOCATES}),
  // It sends a body for a HEAD.
  'a static busybox httpd': underHttpLoad(startBusybox, {keepAlive: false, heads: false}),
  'two hundred threads': channels(100, 2000),
};

type OtherLibc = 'glibc' | 'glibc-trixie' | 'musl';

const withLibc = (source: string, libc: OtherLibc, args: readonly string[] = [], count = STATUS): Start =>
  verifyingItself(source, count, {args, compile: async name => (await libcs[libc]()).compile(name)});

const signalled = (libc: OtherLibc): Start => withLibc('signals.c', libc, ['100', '1000'], {...STATUS, field: 2});

const jumping = (libc: OtherLibc): Start => withLibc('jump.c', libc, [], {...STATUS, field: 1});

const cancelled = (type: 'deferred' | 'asynchronous', libc: OtherLibc): Start => withLibc('cancel.c', libc, [type]);

const unwound = (mode: 'waiting' | 'busy', flags: readonly string[] = []): Start =>
  verifyingItself('cancel.cpp', STATUS, {
    args: [mode],
    compile: source => compileC(source, {compiler: 'g++', flags: [...CXX_FLAGS, ...flags]}),
  });

/**
 * In a container's namespaces, the injector inside them: no /proc, a read-only root, other process numbers. What it finds
 * there is all that it has.
 */
const inContainer = (): Start => async stage => {
  const launcher = await compileC('launch.c');
  const folder = stage.folder();
  copyFileSync(await compileC('channels.c', {flags: [...C_FLAGS, '-static']}), join(folder, 'channels'));
  const args = ['namespaces', `root=${folder}`, '--', '/channels', '20', '2000'];
  const program = stage.use(await Program.start(launcher, {args, cwd: folder}));
  await program.answer('ready');
  await program.ask('run', 'running');
  const victim = counted(program, {begin: 'run', command: 'pause', word: 'paused'});
  return {...victim, pid: innermost(program.pid), flags: ['--enter']};
};

/** Programs that do what is hard to bear for whoever has his hooks in them. */
export const hardships: Readonly<Record<string, Start>> = {
  'a container of its own': inContainer(),
  'a signal every 100 µs, and a profiler’s': signalled('glibc'),
  'a signal every 100 µs, and a profiler’s, glibc of trixie': signalled('glibc-trixie'),
  'a signal every 100 µs, and a profiler’s, musl': signalled('musl'),
  'signals that are numbered': verifyingItself('queued.c'),
  'handlers that jump out of calls': jumping('glibc'),
  'handlers that jump out of calls, glibc of trixie': jumping('glibc-trixie'),
  'handlers that jump out of calls, musl': jumping('musl'),
  'deferred cancellation, glibc': cancelled('deferred', 'glibc'),
  'deferred cancellation, glibc of trixie': cancelled('deferred', 'glibc-trixie'),
  'deferred cancellation, musl': cancelled('deferred', 'musl'),
  'asynchronous cancellation, glibc': cancelled('asynchronous', 'glibc'),
  'asynchronous cancellation, glibc of trixie': cancelled('asynchronous', 'glibc-trixie'),
  'asynchronous cancellation, musl': cancelled('asynchronous', 'musl'),
  'cancellation through C++ frames, while they wait': unwound('waiting'),
  'cancellation through C++ frames, at any instruction': unwound('busy'),
  'cancellation through C++ frames, at any instruction, static': unwound('busy', ['-static']),
  'bad pointers, and buffers that are gone when they are sent': verifyingItself('buffers.c', {...STATUS, field: 1}),
  'buffers that are shorter than what comes': verifyingItself('shorter.c'),
  'buffers that are shorter than what comes, glibc of trixie': withLibc('shorter.c', 'glibc-trixie'),
  'buffers that are shorter than what comes, musl': withLibc('shorter.c', 'musl'),
  'threads that come and go': verifyingItself('threads.c', {...STATUS, growth: COMES_AND_GOES}),
  'libraries that come and go': async stage => {
    const library = await compileC('plugin.c', {flags: [...C_FLAGS, '-shared', '-fPIC']});
    const cwd = stage.folder();
    const copies = ['first', 'second'].map(name => join(cwd, `${name}.so`));
    for (const copy of copies) copyFileSync(library, copy);
    // Both of them may be there, or not, when it is looked at: five mappings each.
    const growth = {...ALLOCATES, mappings: 12};
    return verifyingItself('plugins.c', {...STATUS, growth}, {args: copies, cwd})(stage);
  },
  'descriptors that come and go': verifyingItself('churn.c'),
  'children by fork, vfork and posix_spawn': verifyingItself('spawner.c'),
  'a storm of vforks': verifyingItself('spawner.c', STATUS, {args: ['6', 'vfork']}),
  'goroutines that are pre-empted': verifyingItself(
    'go-churn',
    {...STATUS, growth: COLLECTS_GARBAGE},
    {compile: name => compileGo(name)},
  ),
};
