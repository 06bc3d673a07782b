// The injector ends itself with SIGKILL after its K-th operation on the target (--fault-at K). The target must live on and
// work, and the next attach and detach must mend what was left. K goes over all operations of an attach and of a detach,
// scattered, as far as the time allows; SCOPE_POINTS (the runner's --points) is how many they are to be, or "all".
import {inject, injected} from '../support/injector';
import type {IntactOptions} from '../support/intact';
import {faultsSince, footprint} from '../support/intact';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';
import type {Interrupt, Toll} from './fault-points';
import {after, killThrough} from './fault-points';
import type {Start} from './victims';
import {hardships, kinds} from './victims';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

type Verb = 'attach' | 'detach';

interface Target {
  readonly pid: number;
  readonly flags: readonly string[];
}

/** Undefined when the injector was killed; how many operations it made when it had ended before. Anything else throws. */
async function operationsOf(verb: Verb, {pid, flags}: Target, operation: number): Promise<number | undefined> {
  const {reply, code, signal, stderr} = await inject(verb, pid, '--fault-at', String(operation), ...flags);
  if (signal === 'SIGKILL') return undefined;
  // The one inside the namespaces was.
  if (flags.includes('--enter') && reply?.message?.endsWith('was killed') === true) return undefined;
  if (reply?.ok === true && code === 0 && reply.operations !== undefined) return reply.operations;
  throw new Error(`${verb} --fault-at ${operation}: ${JSON.stringify(reply)} (${code ?? signal}) ${stderr}`);
}

/** Whatever the killed run left: an attach works after it, and a detach takes everything out. */
async function mend({pid, flags}: Target): Promise<void> {
  const {reply, stderr} = await inject('attach', pid, ...flags);
  if (reply?.ok !== true && reply?.reason !== 'AlreadyScoped') {
    throw new Error(`the next attach: ${JSON.stringify(reply)} ${stderr}`);
  }
  await injected('detach', pid, ...flags);
}

/** One run that is to be killed, and what mends it. */
const interruptions: Readonly<Record<Verb, (target: Target, operation: number) => Promise<number | undefined>>> = {
  attach: async (target, operation) => {
    const made = await operationsOf('attach', target, operation);
    if (made === undefined) await mend(target);
    else await injected('detach', target.pid, ...target.flags);
    return made;
  },
  detach: async (target, operation) => {
    const {pid, flags} = target;
    await injected('attach', pid, ...flags);
    const made = await operationsOf('detach', target, operation);
    if (made !== undefined) return made;
    // The next one mends: sometimes a detach, sometimes an attach.
    if (operation % 2 === 0) {
      const {reply, stderr} = await inject('detach', pid, ...flags);
      if (reply?.ok !== true && reply?.reason !== 'NotScoped')
        throw new Error(`the next detach: ${JSON.stringify(reply)} ${stderr}`);
    }
    await mend(target);
    return undefined;
  },
};

async function killAll(
  verb: Verb,
  target: Target,
  check: () => Promise<readonly string[]> | readonly string[],
  harmed: () => void,
): Promise<Toll> {
  const interrupt: Interrupt = async operation => {
    try {
      const made = await interruptions[verb](target, operation);
      const faults = await check();
      if (faults.length > 0) throw new Error(faults.join('\n'));
      return made;
    } catch (thrown) {
      // What the target itself says of it comes first.
      harmed();
      throw new Error(`killed in mid-${verb}, after operation ${operation}`, {cause: thrown});
    }
  };
  return killThrough(interrupt);
}

const victims: Readonly<Record<string, Start | undefined>> = {...kinds, ...hardships};
const names = [
  'nginx',
  'redis',
  'go',
  'node',
  'a musl server',
  'two hundred threads',
  'a container of its own',
  'signals that are numbered',
  'cancellation through C++ frames, at any instruction',
] as const;

describe.each(names)('%s', name => {
  it.each(['attach', 'detach'] as const)(
    'lives through the deaths of the injector in mid-%s',
    async verb => {
      const start = victims[name];
      if (start === undefined) throw new Error(`no victim ${name}`);
      const victim = await start(stage);
      const {pid = victim.program.pid, flags = []} = victim;
      const before = footprint(pid);
      const first = await victim.done();
      let seen = first;
      const toll = await killAll(
        verb,
        {pid, flags},
        async () => {
          victim.assertUnharmed();
          await until('more work', async () => (await victim.done()) > seen);
          seen = await victim.done();
          // Inert code may stay while a thread may still return to it.
          return faultsSince(before, {descriptors: 'ours', leftovers: true});
        },
        () => {
          victim.assertUnharmed();
        },
      );
      const work = (await victim.done()) - first;
      await victim.rest();
      victim.assertUnharmed();
      await mend({pid, flags});
      expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
      console.log(
        `${name}: the injector was killed in mid-${verb} ${after(toll)}, ${work} pieces of work verified meanwhile`,
      );
    },
    60 * 60_000,
  );
});

// A program that maps nothing and opens nothing shows whatever is left in it.
it.each(['attach', 'detach'] as const)(
  'nothing is left in a program at rest by the deaths of the injector in mid-%s',
  async verb => {
    const {program} = await startTester(stage, 'channels.c', {args: ['4']});
    const {pid} = program;
    await injected('attach', pid);
    await injected('detach', pid);
    const before = footprint(pid);
    const everything: IntactOptions = {descriptors: 'all', mappings: 'all'};
    const toll = await killAll(
      verb,
      {pid, flags: []},
      () => faultsSince(before, everything),
      () => {
        program.assertAlive();
      },
    );
    await program.ask('run', 'running');
    await program.ask('quit', 'paused');
    expect(await program.finish()).toEqual({code: 0, signal: null});
    console.log(`a program at rest: killed in mid-${verb} ${after(toll)}, nothing was left`);
  },
  60 * 60_000,
);
