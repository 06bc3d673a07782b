// Real programs, attached to by name while requests fly and by pid while they rest: every exchange is seen once, every
// byte is counted, and after the detach the program is as it was and answers on.
import {setTimeout as sleep} from 'node:timers/promises';
import {expectEveryExchange, expectNoErrors} from '../support/every-exchange';
import {startHttpLoad} from '../support/http-load';
import {faultsSince, footprint} from '../support/intact';
import type {Io} from '../support/proc';
import {io, ioBetween} from '../support/proc';
import type {Program} from '../support/program';
import {Scope, ofKind, sum} from '../support/scope';
import type {HttpServer} from '../support/servers';
import {startGoServer, startJavaServer, startNginx, startNodeServer, startPythonServer} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

interface Case {
  readonly start: (stage: Stage) => Promise<HttpServer>;
  /**
   * Which of the program's socket calls /proc/PID/io counts too, and their bytes: read(2) and write(2) and their kin are,
   * recv(2) and send(2) are not; sendfile(2) counts as a read and as a write. A read of 0 bytes counts there and in events.
   */
  readonly io: {readonly socketReads: boolean; readonly socketWrites: boolean};
  /**
   * What the kernel counts and no event tells. Go's net poller wakes itself through an eventfd, by calls of its run-time
   * outside the hooked ones: each wake-up is written once and read once, 8 bytes each. And it asks before it waits: a
   * read that fails with EAGAIN comes before one that gives something, another where net/http watches for the connection's
   * end while a request is served.
   */
  readonly isGo?: boolean;
}

const cases: Readonly<Record<string, Case>> = {
  nginx: {start: startNginx, io: {socketReads: false, socketWrites: true}},
  'nginx with sendfile': {
    start: stage => startNginx(stage, {sendfile: true}),
    io: {socketReads: false, socketWrites: true},
  },
  Node: {start: startNodeServer, io: {socketReads: true, socketWrites: true}},
  Python: {start: startPythonServer, io: {socketReads: false, socketWrites: false}},
  Java: {start: startJavaServer, io: {socketReads: true, socketWrites: true}},
  Go: {start: startGoServer, io: {socketReads: true, socketWrites: true}, isGo: true},
};

const LANES = 4;
const WAKE_UP_BYTES = 8;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** The program's counters at a moment in which it makes no calls: between them `act` runs undisturbed. */
async function atRest<T>(
  program: Program,
  act: () => Promise<T>,
  undo: (result: T) => Promise<void>,
): Promise<{result: T; io: Io}> {
  for (let tries = 0; tries < 10; tries++) {
    const before = io(program.pid);
    const result = await act();
    const after = io(program.pid);
    if (JSON.stringify(before) === JSON.stringify(after)) return {result, io: after};
    await undo(result);
    await sleep(150);
  }
  throw new Error('the program never rested');
}

describe.each(Object.entries(cases))('%s', (_, {start, io: counts, isGo = false}) => {
  it('under load, by name: every exchange is seen exactly once', async () => {
    const server = await start(stage);
    await expectEveryExchange(stage, server, {target: server.name, lanes: LANES});
  });

  it('at rest, by pid: every byte is counted', async () => {
    const server = await start(stage);
    const {program, port} = server;
    const scope = await Scope.open(stage);
    const before = footprint(program.pid);
    const load = stage.use(startHttpLoad(server, {lanes: LANES}));
    await until('the first answers', () => load.done > 50);
    await load.pause();
    await sleep(300);

    const attached = await atRest(
      program,
      () => scope.attach(program.pid),
      async () => {
        await scope.detach(program.pid);
      },
    );
    const sentBefore = load.bytes();
    const answeredBefore = load.done;
    load.resume();
    await until('some hundred answers', () => load.done > 600);
    await load.pause();
    const sent = load.bytes();
    await sleep(300);
    const atEnd = io(program.pid);
    const session = await scope.detach(program.pid);
    expect(session.counts.lost).toBe(0);
    expect(io(program.pid)).toEqual(atEnd);

    const events = scope.events(session);
    const files = events.filter(ofKind('fs.close'));
    const sockets = events.filter(ofKind('net.close'));
    const ours = sockets.filter(
      ({attributes}) => attributes['network.local.port'] === port && attributes['network.peer.port'] !== undefined,
    );
    // What the client counted on its sockets is what the server's sockets carried.
    expect(sum(ours, 'scope.net.receive.bytes')).toBe(sent.written - sentBefore.written);
    expect(sum(ours, 'scope.net.transmit.bytes')).toBe(sent.read - sentBefore.read);

    // What the kernel counted of the program is what all its descriptors carried.
    const seen = {
      rchar: sum(files, 'scope.fs.read.bytes') + (counts.socketReads ? sum(sockets, 'scope.net.receive.bytes') : 0),
      wchar: sum(files, 'scope.fs.write.bytes') + (counts.socketWrites ? sum(sockets, 'scope.net.transmit.bytes') : 0),
      syscr: sum(files, 'scope.fs.read.calls') + (counts.socketReads ? sum(sockets, 'scope.net.receive.calls') : 0),
      syscw: sum(files, 'scope.fs.write.calls') + (counts.socketWrites ? sum(sockets, 'scope.net.transmit.calls') : 0),
    };
    const kernel = ioBetween(attached.io, atEnd);
    if (isGo) {
      const untold = ioBetween(seen, kernel);
      const wakeUps = {written: untold.wchar / WAKE_UP_BYTES, read: untold.rchar / WAKE_UP_BYTES};
      expect(wakeUps).toEqual({written: Math.trunc(wakeUps.written), read: Math.trunc(wakeUps.read)});
      // One may be on its way as it begins, and as it ends.
      expect(Math.abs(wakeUps.written - wakeUps.read)).toBeLessThanOrEqual(1);
      // Every further call is one that failed: none of them carried a byte, or `wakeUps` would not be whole.
      const failed = {writes: untold.syscw - wakeUps.written, reads: untold.syscr - wakeUps.read};
      process.stderr.write(`Go, beside the events: ${JSON.stringify({wakeUps, failed})}\n`);
      expect(failed.writes).toBe(0);
      expect(failed.reads).toBeGreaterThanOrEqual(0);
      expect(failed.reads).toBeLessThanOrEqual(2 * (load.done - answeredBefore) + LANES);
    } else {
      expect(seen).toEqual(kernel);
    }

    load.resume();
    const atDetach = load.done;
    await until('answers after the detach', () => load.done > atDetach + 50);
    await load.close();
    expectNoErrors(load);
    expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
  });
});
