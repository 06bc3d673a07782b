// An attach and a detach are not felt: no call that waits comes back early or with EINTR, the other programs' signals,
// children and descriptors go on, and nothing is left in the process.
import {setTimeout as sleep} from 'node:timers/promises';
import {injected} from '../support/injector';
import {faultsSince, footprint, isPatched} from '../support/intact';
import {libcs} from '../support/libcs';
import {measuredOrSaid} from '../support/not-measured';
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

/** One of every way in which a C library makes its calls. */
const LIBCS = ['glibc', 'glibc-bullseye', 'glibc-trixie', 'glibc-sid', 'glibc-static', 'musl', 'musl-static'] as const;
const SIGNALS = [
  ['no signals', []],
  ['a signal for each every 700 µs', ['700']],
] as const;

describe.each(LIBCS)('a process with a thread in every call that waits, %s', name => {
  const start = async (args: readonly string[]) => {
    const libc = await libcs[name]();
    return startTester(stage, 'blocked.c', {
      args,
      compile: async source => libc.compile(source, {libraries: ['-lrt']}),
    });
  };

  it.each(SIGNALS)('feels nothing of five attaches and detaches, %s', async (_, args) => {
    await measuredOrSaid(name, async () => {
      const {program} = await start(args);
      const {pid} = program;
      const before = footprint(pid);
      for (let round = 0; round < 5; round++) {
        const attached = await injected('attach', pid);
        expect(attached.sites?.hooked).toBeGreaterThan(50);
        expect(isPatched(pid)).toBe(true);
        program.assertAlive();
        await injected('detach', pid);
        program.assertAlive();
        expect(faultsSince(before, {mappings: 'all', leftovers: true})).toEqual([]);
      }
      // Threads that waited in hooked calls all the while now come back through them.
      expect(await program.ask('release', 'released')).toBe('17');
      expect(await program.finish()).toEqual({code: 0, signal: null});
    });
  });

  it.each(SIGNALS)('comes back from every one of them while it is scoped, %s', async (_, args) => {
    await measuredOrSaid(name, async () => {
      const {program} = await start(args);
      await injected('attach', program.pid);
      expect(await program.ask('release', 'released')).toBe('17');
      expect(await program.finish()).toEqual({code: 0, signal: null});
    });
  });
});

describe.each([
  ['signals at every moment', 'signals.c'],
  ['descriptors that come and go', 'churn.c'],
  ['children by fork, vfork and posix_spawn', 'spawner.c'],
])('%s', (_, source) => {
  it('go on through an attach, while scoped, and through a detach', async () => {
    const {program} = await startTester(stage, source);
    const {pid} = program;
    const before = footprint(pid);
    const count = async (): Promise<number> => Number((await program.ask('status', 'status')).split(' ').at(-1));
    const moves = async (): Promise<void> => {
      const from = await count();
      await sleep(300);
      await until('more of its work', async () => (await count()) > from);
    };
    await moves();
    await injected('attach', pid);
    await moves();
    await injected('detach', pid);
    await moves();
    expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
    await program.ask('quit', 'status');
    expect(await program.finish()).toEqual({code: 0, signal: null});
  });
});
