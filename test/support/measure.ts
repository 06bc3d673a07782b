// One tester, measured: attached to and let go under load, then with exact figures, then proven to be as it was.
import {setTimeout as sleep} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import {startHttpLoad} from './http-load';
import type {InjectorReply} from './injector';
import {injected} from './injector';
import type {Footprint} from './intact';
import {faultsSince, footprint} from './intact';
import type {Family, Ledger} from './ledger';
import {FAMILIES, ledgerOf, ledgerSeen, unlikely, untrue, withoutPreadv} from './ledger';
import type {Program} from './program';
import type {Scope} from './scope';
import {ofKind, sum as sumOf} from './scope';
import type {HttpServer} from './servers';
import {until} from './until';

/** A running test/targets/ledger.c, at rest. */
export interface Tester {
  readonly program: Program;
  /** Differs from the program's where it started the tester in another PID namespace. */
  readonly pid: number;
  /** Where its files are, as it names them. */
  readonly folder: string;
}

/** How the injector sees it. */
export type Coverage = Pick<InjectorReply, 'target' | 'sites' | 'calls'>;

export interface Measured {
  readonly coverage: Coverage;
  /** Bytes that it moved while its figures were compared, and how many attaches there were. */
  readonly bytes: number;
  /** What was not as it must be; none when all is right. */
  readonly faults: readonly string[];
}

const CAPTURE = {fs: {}, net: {}};
const UNDER_LOAD_MS = 200;
const EXACT_MS = 250;
/** However slow the machine is: a figure of nothing proves nothing. */
const LEAST_BYTES = 1000;
const LATER_DETACHES = 10;
const EXACT_ANSWERS = 300;
const TRIES = 3;
const PATIENCE_MS = 60_000;

/** Starts the tester; `folder` is for its files. */
export const testerArgs = (
  folder: string,
  families: readonly Family[] = FAMILIES,
  each = 1,
  restUs = 200,
): string[] => [families.join(','), String(each), folder, String(restUs)];

/** Of its calls this is the one that a C library (musl 1.2.6) has no room for a hook at. */
export const hasUnseenPreadv = ({calls}: Coverage): boolean =>
  calls?.partial.some(({call}) => call === 'preadv') ?? false;

const sum = (ledger: Ledger): number =>
  FAMILIES.reduce((total, family) => total + ledger.moved[family].read + ledger.moved[family].written, 0);

/**
 * Attaches while everything moves, detaches while everything moves; attaches again while nothing moves, and compares every
 * figure of the tester with what was seen, once it has moved more than `leastBytes`; detaches, and looks whether the process
 * is as it was. It ends by itself.
 */
export async function measureTester(
  scope: Scope,
  {program, pid, folder}: Tester,
  leastBytes = LEAST_BYTES,
): Promise<Measured> {
  const coverage = await injected('check', pid);
  // What the injector says it can't see is not held against it; the row says so.
  const sees = hasUnseenPreadv(coverage) ? withoutPreadv : (ledger: Ledger): Ledger => ledger;
  const ledger = async (): Promise<Ledger> => sees(ledgerOf(await program.ask('ledger', 'ledger')));
  const pause = async (): Promise<Ledger> => sees(ledgerOf(await program.ask('pause', 'paused', PATIENCE_MS)));
  const before = footprint(pid);
  const faults: string[] = [];

  const underLoad = async (): Promise<Attempt> => {
    await program.ask('run', 'running');
    const attach = {before: await ledger()};
    const session = await scope.begin(pid, CAPTURE);
    const attached = {...attach, after: await ledger()};
    await sleep(UNDER_LOAD_MS);
    const detach = {before: await ledger()};
    const {counts} = await scope.end(session);
    const detached = {...detach, after: await ledger()};
    return {lost: counts.lost, faults: unlikely(ledgerSeen(scope.events(session), folder), attached, detached)};
  };
  let bytes = 0;
  const exactly = async (): Promise<Attempt> => {
    const from = await pause();
    const session = await scope.begin(pid, CAPTURE);
    await program.ask('run', 'running');
    await sleep(EXACT_MS);
    await until('enough to be moved', async () => sum(await ledger()) - sum(from) > leastBytes);
    const to = await pause();
    const {counts} = await scope.end(session);
    bytes = sum(to) - sum(from);
    return {lost: counts.lost, faults: untrue(ledgerSeen(scope.events(session), folder), from, to)};
  };
  faults.push(...(await unlessLost(underLoad)), ...(await unlessLost(exactly)));

  await program.ask('run', 'running');
  faults.push(...(await settledFaults(before)));
  program.assertAlive();
  await program.ask('quit', 'paused', PATIENCE_MS);
  const {code, signal} = await program.finish();
  if (code !== 0) faults.push(`it ended with ${code ?? signal ?? 'nothing'}`);
  return {coverage, bytes, faults};
}

interface Attempt {
  /** Records, as the session's end says. */
  readonly lost: number;
  readonly faults: readonly string[];
}

/** An agent that got no processor for seconds loses records, and says so: what it saw is no measure then. */
async function unlessLost(attempt: () => Promise<Attempt>): Promise<readonly string[]> {
  for (let tries = 1; ; tries++) {
    const {lost, faults} = await attempt();
    if (lost === 0) return faults;
    if (tries === TRIES) return [...faults, `${lost} records were lost, ${TRIES} times in a row`];
  }
}

const served = ({event, attributes}: ScopeEvent): boolean =>
  event === 'http.exchange' && attributes['scope.http.role'] === 'server';

/** The events of a session that has ended: what they say of the server's own port. */
function exchangesSeen(
  events: readonly ScopeEvent[],
  port: number,
): {exchanges: number; read: number; written: number} {
  const ours = events
    .filter(ofKind('net.close'))
    .filter(
      ({attributes}) => attributes['network.local.port'] === port && attributes['network.peer.port'] !== undefined,
    );
  return {
    exchanges: events.filter(served).length,
    read: sumOf(ours, 'scope.net.receive.bytes'),
    written: sumOf(ours, 'scope.net.transmit.bytes'),
  };
}

/** The same for a server that answers HTTP: its exchanges, and the bytes of its connections, by what its client counted. */
export async function measureServer(scope: Scope, {program, port, echoes}: HttpServer): Promise<Measured> {
  const {pid} = program;
  const coverage = await injected('check', pid);
  const before = footprint(pid);
  const faults: string[] = [];
  const load = startHttpLoad({port, echoes}, {lanes: 4});
  try {
    await until('the first answers', () => load.done > 50);
    const loaded = await scope.begin(pid, {net: {}, http: {}});
    await sleep(UNDER_LOAD_MS);
    const first = await scope.end(loaded);
    if (first.counts.lost > 0) faults.push(`${first.counts.lost} records were lost under load`);

    await load.pause();
    const sent = load.bytes();
    const answered = load.done;
    const resting = await scope.begin(pid, {net: {}, http: {}});
    load.resume();
    await until('some hundred answers', () => load.done > answered + EXACT_ANSWERS);
    await load.pause();
    const now = load.bytes();
    const second = await scope.end(resting);
    if (second.counts.lost > 0) faults.push(`${second.counts.lost} records were lost`);
    const moved = {exchanges: load.done - answered, read: now.written - sent.written, written: now.read - sent.read};
    const seen = exchangesSeen(scope.events(resting), port);
    for (const name of ['exchanges', 'read', 'written'] as const) {
      if (seen[name] !== moved[name]) faults.push(`${name}: ${seen[name]} were seen, there were ${moved[name]}`);
    }

    load.resume();
    faults.push(...(await settledFaults(before)));
    await until('answers after the detach', () => load.done > answered + moved.exchanges + 50);
    program.assertAlive();
    faults.push(...load.errors.slice(0, 3));
    return {coverage, bytes: moved.read + moved.written, faults};
  } finally {
    await load.close();
  }
}

/**
 * What is not as before the attach. Inert code may stay while a word on some stack looks as if a thread could return into
 * it; a later detach, of which one must come soon, takes that away, too.
 */
async function settledFaults(before: Footprint): Promise<string[]> {
  const options = {descriptors: 'ours'} as const;
  for (let tries = 0; ; tries++) {
    const faults = faultsSince(before, options);
    const isOnlyLeftover = faults.length > 0 && faultsSince(before, {...options, leftovers: true}).length === 0;
    if (!isOnlyLeftover || tries === LATER_DETACHES) return faults;
    await sleep(50);
    await injected('detach', before.pid);
  }
}
