// What a call is given to write is copied before the call and only where memory is known to be there: a bad pointer returns what it
// always did, and a buffer that another thread unmaps as soon as the other side has it harms nobody.
import {faultsSince, footprint} from '../support/intact';
import {Scope, ofKind, sum} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

const PROBES = 20_000;
const SENDS = 20_000;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

it('bad pointers and vanishing buffers, before, under and after a scope', async () => {
  const {program, name} = await startTester(stage, 'buffers.c');
  const scope = await Scope.open(stage);
  const before = footprint(program.pid);
  const made = async (): Promise<[probes: number, sends: number]> => {
    const [probes = 0, sends = 0] = (await program.ask('status', 'status')).split(' ').map(Number);
    return [probes, sends];
  };
  const session = await scope.attach(name);
  const [probes, sends] = await made();
  await until('enough of both', async () => {
    const [allProbes, allSends] = await made();
    return allProbes > probes + PROBES && allSends > sends + SENDS;
  });
  await scope.detach(name);
  const [, sent] = await made();
  program.assertAlive();
  // What was seen of the senders is at least what they sent while it was looked at.
  const closes = scope.events(session).filter(ofKind('net.close'));
  expect(sum(closes, 'scope.net.transmit.calls')).toBeGreaterThan(SENDS);
  await until('more of them after the detach', async () => (await made())[1] > sent);
  expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
  await program.ask('quit', 'status');
  expect(await program.finish()).toEqual({code: 0, signal: null});
});
