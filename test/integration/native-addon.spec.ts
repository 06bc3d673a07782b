// The addon alone, with no agent around it: injector → ring → scope.node → lines.
import {join} from 'node:path';
import type {ProcessIdentity, ScopeEvent} from '@scope/api';
import type {NativeHub, NativeSession} from '@scope/native';
import {loadNative} from '@scope/native';
import {checkout} from '../support/checkout';
import {injected} from '../support/injector';
import {run} from '../support/program';
import {startPythonServer} from '../support/servers';
import {Stage} from '../support/stage';

const addon = join(checkout, 'dist/native/scope.node');

let stage: Stage;
let hub: NativeHub;
beforeAll(() => {
  hub = loadNative(addon);
});
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** Its session, and every event that came out of it so far. */
async function open(identity: ProcessIdentity): Promise<{session: NativeSession; events: ScopeEvent[]}> {
  const {ring} = await injected('attach', identity.pid);
  if (ring === undefined) throw new Error('attach did not say where the ring is');
  const session = hub.open({
    pid: identity.pid,
    ring: ring.mapFile,
    process: identity,
    capture: {fs: {}, net: {}, http: {}},
    progressSeconds: 60,
  });
  const events: ScopeEvent[] = [];
  session.batches$.subscribe(batch => {
    const text = batch.lines.toString();
    expect(text.endsWith('\n')).toBe(true);
    const lines = text.trimEnd().split('\n');
    expect(batch).toMatchObject({session: session.id, events: lines.length});
    events.push(...lines.map(line => JSON.parse(line) as ScopeEvent));
  });
  return {session, events};
}

const count = (events: readonly ScopeEvent[], name: string): number =>
  events.filter(({event}) => event === name).length;

it('flush brings everything that happened, close tells how it ended', async () => {
  const {program, port, name} = await startPythonServer(stage);
  const identity = {pid: program.pid, name, executable: '/usr/bin/python3', pod: 'shop/"web"'};
  const {session, events} = await open(identity);
  for (let i = 0; i < 20; i += 1) await (await fetch(`http://127.0.0.1:${port}/file-97`)).arrayBuffer();
  await session.flush();
  expect(count(events, 'http.exchange')).toBe(20);
  expect(events[0]?.process).toEqual(identity);
  await injected('detach', program.pid);
  const end = await session.close();
  expect(end).toMatchObject({reason: 'detached', stats: {events: events.length, lost: {}}});
  expect(end.stats.eventsByName).toMatchObject({'http.exchange': 20});
  expect(session.stats()).toEqual(end.stats);
});

it('ends by itself when the process does', async () => {
  const {program, name} = await startPythonServer(stage);
  const {session} = await open({pid: program.pid, name, executable: '/usr/bin/python3'});
  program.signal('SIGKILL');
  await program.finish();
  await expect(session.ended).resolves.toMatchObject({reason: 'exited'});
  await expect(session.close()).resolves.toMatchObject({reason: 'exited'});
});

it('refuses a ring that is none', () => {
  const open = (): unknown =>
    hub.open({
      pid: process.pid,
      ring: '/etc/passwd',
      process: {pid: process.pid, name: 'jest', executable: ''},
      capture: {},
      progressSeconds: 60,
    });
  expect(open).toThrow(/\/etc\/passwd/);
});

it('a hub with no session does not keep a program alive', async () => {
  const script = `new (require(${JSON.stringify(addon)}).Hub)(() => {}); console.log('loaded')`;
  const {code, stdout} = await run(process.execPath, ['-e', script], {timeoutMs: 60_000});
  expect({code, stdout}).toEqual({code: 0, stdout: 'loaded\n'});
});
