// A C program of a hundred threads, each of which verifies what it reads: pipes, unix and TCP sockets, by turns of every
// call that reads and writes.
import type {ScopeEvent} from '@scope/api';
import {faultsSince, footprint} from '../support/intact';
import {Scope, carriedBy, ofKind} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

const moved = (answer: string): number => Number(answer.split(' ')[0]);

it.each(['by pid', 'by name'])('a hundred threads under load, attached to %s', async way => {
  const {program, name, ready} = await startTester(stage, 'channels.c');
  expect(ready).toBe('101');
  const scope = await Scope.open(stage);
  const before = footprint(program.pid);
  await program.ask('run', 'running');
  const target = way === 'by pid' ? program.pid : name;
  const session = await scope.attach(target);
  expect(session.attachment?.threads).toBe(101);
  await new Promise(resolve => setTimeout(resolve, 500));
  const ended = await scope.detach(target);
  program.assertAlive();
  expect(ended.counts.lost).toBe(0);
  expect(faultsSince(before)).toEqual([]);
  await program.ask('quit', 'paused', 60_000);
  expect(await program.finish()).toEqual({code: 0, signal: null});
});

const callsOf = (event: ScopeEvent): number => {
  const {readCalls, writeCalls} = carriedBy([event]);
  return readCalls + writeCalls;
};

it('counts every byte of a hundred threads', async () => {
  const {program} = await startTester(stage, 'channels.c');
  const scope = await Scope.open(stage);
  await program.ask('run', 'running');
  const first = moved(await program.ask('pause', 'paused', 60_000));
  await scope.attach(program.pid);
  await program.ask('run', 'running');
  await new Promise(resolve => setTimeout(resolve, 1000));
  const second = moved(await program.ask('pause', 'paused', 60_000));
  const session = await scope.detach(program.pid);
  expect(session.counts.lost).toBe(0);
  const channels = scope
    .events(session)
    .filter(ofKind('net.close', 'fs.close'))
    // The first three are the harness's: its commands and answers; so is what it may have inherited, which moves nothing.
    .filter(event => Number(event.attributes['scope.fd']) > 2 && callsOf(event) > 0);
  expect(channels).toHaveLength(100);
  expect(carriedBy(channels)).toMatchObject({read: second - first, written: second - first});
  await program.ask('quit', 'paused', 60_000);
  expect(await program.finish()).toEqual({code: 0, signal: null});
});
