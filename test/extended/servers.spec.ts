// The servers and runtimes that people run, attached to under load: as many exchanges as were answered, every byte counted,
// nobody harmed.
import {DATABASES} from '../support/databases';
import {attachAgainAndAgain, expectEveryExchange} from '../support/every-exchange';
import {faultsSince, footprint} from '../support/intact';
import {Lanes} from '../support/load';
import {MORE_SERVERS} from '../support/more-servers';
import {threadStates} from '../support/proc';
import {Scope, ofKind, quietMoment, sum} from '../support/scope';
import {Stage} from '../support/stage';
import {until} from '../support/until';

const TIMES = 5;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

it.each(Object.entries(MORE_SERVERS))('%s: every exchange is seen exactly once', async (_, start) => {
  const server = await start(stage);
  await expectEveryExchange(stage, server, {target: server.program.pid, times: TIMES});
});

it.each(Object.entries(DATABASES))('%s: every answer is right, every byte is counted', async (_, start) => {
  const {pid, port, proxy, ask} = await start(stage);
  const scope = await Scope.open(stage);
  const before = footprint(pid);
  const load = stage.use(new Lanes([ask]));
  await until('the first answers', () => load.done > 50);
  await attachAgainAndAgain(scope, pid, load, TIMES);

  const atRest = async (): Promise<{sent: number; received: number}> => {
    await load.pause();
    await quietMoment();
    await until('the server to wait', () => [...threadStates(pid).values()].every(state => state === 'S'));
    return proxy.bytes();
  };
  const from = await atRest();
  const session = await scope.attach(pid);
  const atAttach = load.done;
  load.resume();
  await until('some hundred answers', () => load.done > atAttach + 300);
  const to = await atRest();
  const ended = await scope.detach(pid);
  expect(ended.counts.lost).toBe(0);
  const carried = scope
    .events(session)
    .filter(ofKind('net.close'))
    .filter(({attributes}) => attributes['network.local.port'] === port);
  expect(sum(carried, 'scope.net.receive.bytes')).toBe(to.sent - from.sent);
  expect(sum(carried, 'scope.net.transmit.bytes')).toBe(to.received - from.received);

  load.resume();
  const atDetach = load.done;
  await until('answers after the detach', () => load.done > atDetach + 50);
  await load.close();
  expect(load.errors.slice(0, 3)).toEqual([]);
  expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
});
