// attach --timing: how long calls took, held against what the program measured itself.
import type {ScopeEvent} from '@scope/api';
import {startHttpLoad} from '../support/http-load';
import {libcs} from '../support/libcs';
import {measuredOrSaid} from '../support/not-measured';
import {Program} from '../support/program';
import {Scope} from '../support/scope';
import {startGoServer, startJavaServer, startNginx, startNodeServer} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

const number = (event: ScopeEvent | undefined, attribute: string): number =>
  Number(event?.attributes[attribute] ?? Number.NaN);

async function run(libc: keyof typeof libcs, by: string, flags: readonly string[]) {
  const file = await (await libcs[libc]()).compile('durations.c');
  const folder = stage.folder();
  const program = stage.use(await Program.start(file, {args: [folder, by], cwd: folder, name: 'durations'}));
  await program.answer('ready');
  const scope = await Scope.open(stage);
  const session = await scope.attach(program.pid, ...flags);
  program.send('run');
  const [sum, longest, rounds] = (await program.answer('took')).split(' ').map(Number);
  const ended = await scope.detach(program.pid);
  expect(ended.counts.lost).toBe(0);
  program.send('quit');
  return {
    events: scope.events(session),
    path: `${folder}/timed`,
    sum: (sum ?? 0) / 1e9,
    longest: (longest ?? 0) / 1e9,
    rounds: rounds ?? 0,
  };
}

describe.each(['glibc', 'glibc-static', 'glibc-trixie', 'musl', 'musl-static', 'musl-sid'] as const)('%s', libc => {
  it.each(['read', 'readv', 'recv'])('the time that %s waited is told, within what the program saw', async by => {
    await measuredOrSaid(`${libc}, ${by}`, async () => {
      const {events, path, sum, longest, rounds} = await run(libc, by, ['--timing']);
      const way = by === 'recv' ? 'scope.net.receive' : 'scope.fs.read';
      const waited = events.find(
        ({event, attributes}) => event.endsWith('.close') && attributes[`${way}.calls`] === rounds,
      );
      // The program's own clock stands outside of the call: it saw a little more.
      expect(number(waited, `${way}.duration`)).toBeLessThanOrEqual(sum);
      expect(number(waited, `${way}.duration`)).toBeGreaterThan(sum / 2);
      expect(number(waited, `${way}.duration_max`)).toBeLessThanOrEqual(longest);
      expect(number(waited, `${way}.duration_max`)).toBeGreaterThan(longest / 2);

      const ofFile = events.filter(({attributes}) => attributes['file.path'] === path);
      const opened = ofFile.filter(({event}) => event === 'fs.open');
      const closed = ofFile.filter(({event}) => event === 'fs.close');
      expect(opened).toHaveLength(rounds);
      expect(opened.filter(event => !(number(event, 'scope.fs.call.duration') > 0))).toEqual([]);
      expect(closed).toHaveLength(rounds);
      expect(closed.map(event => number(event, 'scope.fs.write.calls'))).toEqual(Array<number>(rounds).fill(2));
      expect(closed.map(event => number(event, 'scope.fs.write.bytes'))).toEqual(Array<number>(rounds).fill(150));
      expect(closed.filter(event => !(number(event, 'scope.fs.write.duration') > 0))).toEqual([]);
      expect(
        closed.filter(event => number(event, 'scope.fs.write.duration_max') > number(event, 'scope.fs.write.duration')),
      ).toEqual([]);
    });
  });
});

it('no durations are told where they were not asked for', async () => {
  const {events, rounds} = await run('glibc', 'read', []);
  expect(events.filter(({attributes}) => attributes['scope.fs.read.calls'] === rounds)).not.toEqual([]);
  const timed = events.filter(({attributes}) =>
    Object.keys(attributes).some(name => /\.(read|write|receive|transmit|call)\.duration/.test(name)),
  );
  expect(timed).toEqual([]);
});

it.each(Object.entries({nginx: startNginx, Node: startNodeServer, Go: startGoServer, Java: startJavaServer}))(
  '%s answers as ever, and its connections tell how long their reads and writes took',
  async (_, start) => {
    const server = await start(stage);
    const scope = await Scope.open(stage);
    const load = stage.use(startHttpLoad(server, {lanes: 4}));
    await until('the first answers', () => load.done > 50);
    const session = await scope.attach(server.program.pid, '--timing');
    const atAttach = load.done;
    await until('some hundred answers', () => load.done > atAttach + 400);
    const ended = await scope.detach(server.program.pid);
    await load.close();
    expect(load.errors.slice(0, 3)).toEqual([]);
    expect(ended.counts.lost).toBe(0);
    const served = scope
      .events(session)
      .filter(({event, attributes}) => event === 'net.close' && Number(attributes['scope.net.transmit.calls']) > 10);
    expect(served.length).toBeGreaterThan(0);
    expect(served.filter(event => !(number(event, 'scope.net.transmit.duration') > 0))).toEqual([]);
  },
);
