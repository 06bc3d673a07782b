// redis-server under commands whose every answer is verified: connections and bytes, to the last one.
import {setTimeout as sleep} from 'node:timers/promises';
import {faultsSince, footprint} from '../support/intact';
import type {Io} from '../support/proc';
import {io, ioBetween} from '../support/proc';
import {startRedisLoad} from '../support/redis-load';
import {Scope, carriedBy, ofKind} from '../support/scope';
import {startRedis} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

it('is attached to by name under load; what its descriptors carried is what the kernel counted', async () => {
  const {program, port, name} = await startRedis(stage);
  const scope = await Scope.open(stage);
  const before = footprint(program.pid);
  const load = stage.use(startRedisLoad(port, 4));
  await until('the first answers', () => load.done > 50);

  const session = await scope.attach(name);
  await sleep(300);
  const first = load.done;
  await until('some hundred answers', () => load.done > first + 300);
  await scope.detach(name);
  await load.pause();
  expect(load.errors).toEqual([]);
  const adopted = scope
    .events(session)
    .filter(ofKind('net.close'))
    .filter(({attributes}) => attributes['scope.adopted'] === true);
  expect(adopted.filter(({attributes}) => attributes['network.peer.port'] !== undefined)).toHaveLength(4);

  // Its clock ticks once a second and reads a file then: between two ticks it rests.
  const tick = async (): Promise<Io> => {
    const before = io(program.pid);
    await until('a tick of its clock', () => io(program.pid).syscr !== before.syscr, {intervalMs: 5});
    await sleep(50);
    return io(program.pid);
  };
  const isAsAt = (then: Io): boolean => JSON.stringify(io(program.pid)) === JSON.stringify(then);
  const measure = async () => {
    const counted = await tick();
    const second = await scope.begin(program.pid, {fs: {}, net: {}});
    const isWhole = isAsAt(counted);
    const fresh = startRedisLoad(port, 3);
    await until('a hundred answers', () => fresh.done > 100);
    await fresh.close();
    await until(
      'its side of the connections to close',
      () => scope.events(second).filter(ofKind('net.close')).length >= 3,
    );
    const atEnd = await tick();
    const ended = await scope.end(second);
    return isWhole && isAsAt(atEnd) && {counted, second, atEnd, ended};
  };
  const measured = await until('a session that begins and ends between two ticks', measure, {timeoutMs: 120_000});
  const {counted, second, atEnd, ended} = measured;
  expect(ended.counts.lost).toBe(0);

  const events = scope.events(second);
  const closed = events.filter(ofKind('fs.close', 'net.close'));
  // It reads and writes its sockets by read(2) and write(2), which the kernel counts here too. A read of 0 bytes, which is
  // a connection's end, counts both here and there.
  const {read: rchar, written: wchar, readCalls: syscr, writeCalls: syscw} = carriedBy(closed);
  expect({rchar, wchar, syscr, syscw}).toEqual(ioBetween(counted, atEnd));
  const opened = events.filter(ofKind('net.open')).filter(({attributes}) => attributes['network.local.port'] === port);
  expect(opened).toHaveLength(3);

  load.resume();
  const afterwards = load.done;
  await until('answers after the detach', () => load.done > afterwards + 50);
  await load.pause();
  expect(load.errors).toEqual([]);
  expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
});
