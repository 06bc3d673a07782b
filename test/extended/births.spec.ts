// Two threads that start children without pause, by posix_spawn, vfork and fork: each birth is told once, and what a child
// does to its descriptors before it executes is never taken for its parent's doing.
import {setTimeout as sleep} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import {Scope, carriedBy, ofKind} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** Each of the two threads may be in the middle of one. */
const UNDER_WAY = 2;

it('tells each birth once, and keeps children and parent apart', async () => {
  const {program} = await startTester(stage, 'spawner.c');
  const scope = await Scope.open(stage);
  const count = async (): Promise<number> => Number(await program.ask('status', 'status'));
  const earliest = await count();
  const attached = await scope.attach(program.pid, '--capture', 'fs,net');
  const begun = await count();
  await sleep(1500);
  const ending = await until('more than twenty births', async () => {
    const made = await count();
    return made - begun > 20 && made;
  });
  const session = await scope.detach(program.pid);
  const latest = await count();
  expect(session.counts.lost).toBe(0);
  await program.ask('quit', 'status');
  expect(await program.finish()).toEqual({code: 0, signal: null});

  const events = scope.events(attached);
  const pids = events.filter(ofKind('process.fork')).map(({attributes}) => Number(attributes['scope.child.pid']));
  expect(new Set(pids).size).toBe(pids.length);
  expect(pids.length).toBeGreaterThanOrEqual(ending - begun);
  expect(pids.length).toBeLessThanOrEqual(latest - earliest + 2 * UNDER_WAY);
  expect(events.filter(ofKind('process.exec'))).toEqual([]);

  const closes = events.filter(ofKind('fs.close', 'net.close'));
  const reasonOf = ({attributes}: ScopeEvent): unknown =>
    attributes['scope.fs.close.reason'] ?? attributes['scope.net.close.reason'];
  const ends = closes.filter(close => reasonOf(close) !== 'unscoped');
  // dup2 of a child's onto 1, and its closing of the parent's pipe, happened in a table of its own.
  expect(new Set(ends.map(reasonOf))).toEqual(new Set(['close']));
  // Of what was opened before the attach the kind may not be known.
  const whole = ends.filter(({attributes}) => attributes['scope.adopted'] !== true);
  expect(whole.filter(({attributes}) => !String(attributes['file.path']).startsWith('pipe:'))).toEqual([]);
  expect(Math.abs(ends.length - 2 * pids.length)).toBeLessThanOrEqual(2 * UNDER_WAY);
  // What each child has said: "child N\n".
  const heard = ends.filter(close => carriedBy([close]).read > 0);
  expect(Math.abs(heard.length - pids.length)).toBeLessThanOrEqual(UNDER_WAY);
  expect(carriedBy(heard).written).toBe(0);
});
