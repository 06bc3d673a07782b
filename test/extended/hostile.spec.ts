// Targets that know they are scoped and lie to whoever reads, or exhaust what can be exhausted: the agent lives within its
// memory, counts the damage and tells it, and a session beside is as exact as ever.
import {setTimeout as sleep} from 'node:timers/promises';
import type {SessionView} from '@scope/attach';
import {faultsSince, footprint} from '../support/intact';
import {ledgerOf, ledgerSeen, untrue} from '../support/ledger';
import {statusField} from '../support/proc';
import type {Program} from '../support/program';
import {Scope} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

/**
 * What Node and its queues need (pressure.spec.ts), 128 MiB that one session may hold (native/decoder/src/session.rs), and
 * the rings of two processes, which are shared memory.
 */
const AGENT_BYTES = 260e6 + (128 << 20) + 2 * (33 << 20);

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

const peakBytes = (pid: number): number => Number.parseInt(statusField(`/proc/${pid}`, 'VmHWM'), 10) * 1024;

interface Beside {
  readonly scope: Scope;
  readonly hostile: Program;
  readonly session: SessionView;
  /** Lets the honest one come to rest, ends its session, and gives what is not as it was. */
  readonly endHonest: () => Promise<string[]>;
}

/** A hostile target and an honest one beside it, both scoped by one agent. */
async function begin(): Promise<Beside> {
  const folder = stage.folder();
  const honest = (await startTester(stage, 'ledger.c', {args: ['pipe,unix,tcp,udp,file,call', '1', folder, '2000']}))
    .program;
  const hostile = (await startTester(stage, 'hostile.c')).program;
  const scope = await Scope.open(stage);
  const from = ledgerOf(await honest.ask('ledger', 'ledger'));
  const beside = await scope.begin(honest.pid, {fs: {}, net: {}});
  await honest.ask('run', 'running');
  const session = await scope.begin(hostile.pid, {fs: {}, net: {}, http: {}, dns: {}, console: {mode: 'Lines'}});
  const endHonest = async (): Promise<string[]> => {
    const to = ledgerOf(await honest.ask('pause', 'paused', 60_000));
    const {counts, state} = await scope.end(beside);
    const faults = untrue(ledgerSeen(scope.events(beside), folder), from, to);
    if (state !== 'Detached') faults.push(`it ended as ${state}`);
    if (counts.losses !== undefined) faults.push(`it lost ${JSON.stringify(counts.losses)}`);
    return faults;
  };
  return {scope, hostile, session, endHonest};
}

const say = (line: string): void => void process.stderr.write(`hostile, measured: ${line}\n`);

it.each([
  ['random words in its rings', ['words 300000', 'work 1000000', 'words 300000']],
  ['lengths of 2^32 - 1', ['work 3000000', 'lengths 20000', 'work 100000', 'lengths 20000']],
  ['heads and tails moved back, forth and apart', ['cursors 2000', 'work 1000000', 'cursors 2000']],
  ['loss counters that jump and go back', ['losses', 'work 100000', 'losses']],
  ['forged records of everything about anything', ['records 300000']],
])('%s: counted, told, and nobody else’s trouble', async (_, commands) => {
  const {scope, hostile, session, endHonest} = await begin();
  for (const command of commands) {
    const [word = ''] = command.split(' ');
    await hostile.ask(command, word === 'work' ? 'worked' : 'done', 120_000);
    await sleep(300);
    scope.agent.assertAlive();
  }
  const damaged = await until('what it did to be told', async () => {
    const {losses = {}} = (await scope.session(session.id)).counts;
    return Object.keys(losses).length > 0 && losses;
  });
  expect(await endHonest()).toEqual([]);
  const ended = await scope.end(session);
  expect(ended.state).toBe('Detached');
  const told = scope.events(session).filter(({lost}) => lost !== undefined);
  expect(told.length).toBeGreaterThan(0);
  expect(peakBytes(scope.agent.pid)).toBeLessThan(AGENT_BYTES);
  say(`${JSON.stringify(damaged)}, agent ${(peakBytes(scope.agent.pid) / 1e6).toFixed(0)} MB`);
  await hostile.ask('work 100000', 'worked');
  await hostile.ask('quit', 'done').catch(() => undefined);
  expect(await hostile.finish()).toEqual({code: 0, signal: null});
});

it('memory that it shrinks under its reader: it can not', async () => {
  const {scope, hostile, session, endHonest} = await begin();
  await hostile.ask('work 100000', 'worked');
  const done = await hostile.ask('shrink', 'done');
  expect(done).toMatch(/^(EPERM, punched|not to be opened)$/);
  await hostile.ask('work 100000', 'worked');
  await sleep(300);
  scope.agent.assertAlive();
  expect(await endHonest()).toEqual([]);
  expect((await scope.end(session)).state).toBe('Detached');
});

it('requests without end on connections without number: the agent’s memory has a bound, which is told', async () => {
  const {scope, hostile, session, endHonest} = await begin();
  await hostile.ask('requests 40000', 'done', 200_000);
  const losses = await until('what it forgot to be told', async () => {
    const {losses: told = {}} = (await scope.session(session.id)).counts;
    return (told.shed ?? 0) > 0 && told;
  });
  say(`640 MB of half requests: ${JSON.stringify(losses)}, agent ${(peakBytes(scope.agent.pid) / 1e6).toFixed(0)} MB`);
  expect(losses.shed).toBeGreaterThan(0);
  expect(peakBytes(scope.agent.pid)).toBeLessThan(AGENT_BYTES);
  expect(await endHonest()).toEqual([]);
  expect((await scope.end(session)).state).toBe('Detached');
});

it('a million numbers and thousands of real connections that never finish a request', async () => {
  const {scope, hostile, session, endHonest} = await begin();
  const connections = await hostile.ask('half 4000', 'done', 120_000);
  const numbers = await hostile.ask('numbers 1000000', 'done', 120_000);
  say(`${connections} connections, ${numbers} numbers, agent ${(peakBytes(scope.agent.pid) / 1e6).toFixed(0)} MB`);
  await sleep(500);
  scope.agent.assertAlive();
  expect(peakBytes(scope.agent.pid)).toBeLessThan(AGENT_BYTES);
  expect(await endHonest()).toEqual([]);
  expect((await scope.end(session)).state).toBe('Detached');
});

it('a header that lies: the session goes on; a detach finds its way without it', async () => {
  const {scope, hostile, session, endHonest} = await begin();
  const before = footprint(hostile.pid);
  const code = before.executableMappings;
  await hostile.ask('header', 'done');
  await hostile.ask('work 1000000', 'worked');
  await sleep(300);
  scope.agent.assertAlive();
  expect(await endHonest()).toEqual([]);
  expect((await scope.end(session)).state).toBe('Detached');
  await hostile.ask('work 100000', 'worked');
  expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
  expect(footprint(hostile.pid).executableMappings).toBeLessThan(code);
  const again = await scope.begin(hostile.pid, {fs: {}, net: {}});
  expect((await scope.end(again)).state).toBe('Detached');
  await hostile.ask('work 100000', 'worked');
});
