// Attach and detach, again and again, under a load that verifies every byte: 200 times each kind of program, 25 times those
// that make it hard. SCOPE_ROUNDS sets how often (the runner's --rounds); each target says what it did.
import {setTimeout as sleep} from 'node:timers/promises';
import type {InjectorReply} from '../support/injector';
import {inject} from '../support/injector';
import {faultsSince, footprint, isPatched} from '../support/intact';
import {measuredOrSaid} from '../support/not-measured';
import {maps, residentKiB} from '../support/proc';
import {Stage} from '../support/stage';
import type {Growth} from './victims';
import {hardships, kinds} from './victims';

const rounds = (usual: number): number => Number(process.env.SCOPE_ROUNDS ?? usual);
const victims = [
  ...Object.entries(kinds).map(([name, start]) => ({name, start, ROUNDS: rounds(200)})),
  ...Object.entries(hardships).map(([name, start]) => ({name, start, ROUNDS: rounds(25)})),
];
/** Comparing all code byte by byte takes longer than a round: it is done this often, and after the last one. */
const LOOK_EVERY = 10;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/**
 * Growth over the rounds. What a program does beside us makes its memory go up and down: the least of the last fifth is
 * compared with the least of the second fifth.
 */
function growthOf(samples: readonly number[]): number {
  const fifth = Math.ceil(samples.length / 5);
  return Math.min(...samples.slice(-fifth)) - Math.min(...samples.slice(fifth, 2 * fifth));
}

/**
 * Attaches or detaches. A thread that sleeps where no stop reaches it, on a disk mostly, is a refusal that says "try
 * again": that is done, and counted.
 */
async function persist(
  verb: 'attach' | 'detach',
  pid: number,
  flags: readonly string[],
): Promise<{reply: InjectorReply; tries: number}> {
  const TRIES = 5;
  for (let tries = 1; ; tries++) {
    const {reply, code, signal, stderr} = await inject(verb, pid, ...flags);
    if (reply?.ok === true) return {reply, tries};
    if (reply?.reason !== 'Timeout' || tries === TRIES)
      throw new Error(`${verb}: ${JSON.stringify(reply)} (${code ?? signal}) ${stderr}`);
  }
}

describe.each(victims)('$name', ({name, start, ROUNDS}) => {
  it(
    `goes through ${ROUNDS} rounds unharmed`,
    async () => {
      await measuredOrSaid(name, async () => {
        const victim = await start(stage);
        const {pid = victim.program.pid, flags = []} = victim;
        const before = footprint(pid);
        const act = async (verb: 'attach' | 'detach') => {
          try {
            return await persist(verb, pid, flags);
          } catch (thrown) {
            victim.program.assertAlive(); // its own last words say more
            throw thrown;
          }
        };
        const resident: number[] = [];
        const mappings: number[] = [];
        let attachMicroseconds = 0;
        let detachMicroseconds = 0;
        let leftovers = 0;
        let again = 0;
        const first = await victim.done();
        const started = performance.now();
        for (let round = 1; round <= ROUNDS; round++) {
          const attached = await act('attach');
          attachMicroseconds = Math.max(attachMicroseconds, attached.reply.stop?.microseconds ?? 0);
          if (round === 1) expect(isPatched(pid)).toBe(true);
          await sleep(10 + (round % 5) * 10);
          const detached = await act('detach');
          detachMicroseconds = Math.max(detachMicroseconds, detached.reply.stop?.microseconds ?? 0);
          again += attached.tries + detached.tries - 2;
          victim.assertUnharmed();
          if (round % LOOK_EVERY === 0 || round === ROUNDS) {
            const faults = faultsSince(before, {descriptors: 'ours', leftovers: true});
            expect(faults).toEqual([]);
            if (faultsSince(before, {descriptors: 'ours'}).length > 0) leftovers += 1;
          }
          resident.push(residentKiB(pid));
          mappings.push(maps(pid).length);
        }
        const seconds = (performance.now() - started) / 1000;
        const work = (await victim.done()) - first;
        await victim.rest();
        victim.assertUnharmed();
        // A detach may leave inert code where a thread could still return to it; the next one takes that away too.
        if (leftovers > 0) await inject('detach', pid, ...flags);
        expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
        expect(work).toBeGreaterThan(ROUNDS);
        const growth: Growth = {kiB: growthOf(resident), mappings: growthOf(mappings)};
        console.log(
          `${name}: ${ROUNDS} rounds in ${seconds.toFixed(1)} s, ${work} pieces of work verified meanwhile, longest stop ` +
            `${attachMicroseconds} µs to attach and ${detachMicroseconds} µs to detach, ` +
            `${growth.kiB} KiB and ${growth.mappings} mappings grown, tried again ${again} times, inert code seen ${leftovers} times`,
        );
        expect(growth.kiB).toBeLessThan(victim.growth.kiB);
        expect(growth.mappings).toBeLessThan(victim.growth.mappings);
      });
    },
    60_000 + ROUNDS * 3_000,
  );
});
