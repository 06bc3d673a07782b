// How long a program stands still at an attach: by the injector's own clock, and measured from inside by a thread that
// does nothing but read the clock; beside it what that thread sees of a debugger that attaches and leaves again. What it
// sees without any of them, in the same time, is the machine's own noise.
import {setTimeout as sleep} from 'node:timers/promises';
import {CpuCgroup} from '../support/cpu-cgroup';
import type {InjectorReply, InjectorVerb} from '../support/injector';
import {inject} from '../support/injector';
import {succeed} from '../support/program';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';
import type {Bar, Bench, BenchOptions, Figure} from './figure';
import {median, spread} from './statistics';

const MOMENT_MS = 150;

/** Processors that a pod with a limit of 500m gets. */
const QUOTA = 0.5;

interface Crowd {
  readonly threads: number;
  readonly bar?: Bar;
  /** It has QUOTA processors and uses them up: the pause holds whatever it is throttled meanwhile. */
  readonly hasQuota?: boolean;
}

const CROWDS: readonly Crowd[] = [
  {threads: 1, bar: {atMost: 2}},
  {threads: 100, bar: {atMost: 6}},
  {threads: 1_000},
  {threads: 1, hasQuota: true},
  {threads: 100, hasQuota: true},
];

/** One that the injector carried out: on a busy machine it gives up where a thread gets no processor to stop on. */
async function carriedOut(verb: InjectorVerb, pid: number): Promise<InjectorReply> {
  return until(`the ${verb}`, async () => {
    const {reply} = await inject(verb, pid);
    return reply?.ok === true && reply;
  });
}

interface Pauses {
  readonly reported: number[];
  readonly felt: number[];
  readonly detach: number[];
  readonly noise: number[];
  readonly gdb: number[];
}

/** Milliseconds, one of each kind a round; of gdb's, which takes its time, fewer. */
async function measure({threads, hasQuota = false}: Crowd, rounds: number, gdbRounds: number): Promise<Pauses> {
  const stage = new Stage();
  try {
    const group = hasQuota ? stage.use(new CpuCgroup(QUOTA)) : undefined;
    const {program} = await startTester(stage, 'gap.c', {args: [String(threads)]});
    group?.add(program.pid);
    const pauses: Pauses = {reported: [], felt: [], detach: [], noise: [], gdb: []};
    const gapDuring = async <T>(act: () => Promise<T>): Promise<{gap: number; result: T}> => {
      await program.ask('reset', 'reset');
      const result = await act();
      return {gap: Number(await program.ask('report', 'gap')) / 1e6, result};
    };
    for (let round = 0; round < rounds; round++) {
      pauses.noise.push((await gapDuring(() => sleep(MOMENT_MS))).gap);
      const {gap, result} = await gapDuring(() => carriedOut('attach', program.pid));
      pauses.felt.push(gap);
      pauses.reported.push((result.stop?.microseconds ?? Number.NaN) / 1000);
      const left = await carriedOut('detach', program.pid);
      pauses.detach.push((left.stop?.microseconds ?? Number.NaN) / 1000);
    }
    const gdb = ['-nx', '-batch', '-p', String(program.pid), '-ex', 'detach'];
    for (let round = 0; round < gdbRounds; round++) {
      pauses.gdb.push((await gapDuring(() => succeed('gdb', gdb))).gap);
    }
    return pauses;
  } finally {
    await stage.close();
  }
}

async function pauseOf(crowdOf: Crowd, {quick, say}: BenchOptions): Promise<Figure[]> {
  const {threads, bar, hasQuota = false} = crowdOf;
  const {reported, felt, detach, noise, gdb} = await measure(crowdOf, quick ? 5 : 30, quick ? 1 : 5);
  const crowd = `${threads === 1 ? '1 thread' : `${threads} threads`}${hasQuota ? `, a quota of ${QUOTA} processors` : ''}`;
  say(`pause at attach, ${crowd}: ${median(reported).toFixed(2)} ms reported, ${median(felt).toFixed(2)} ms felt`);
  say(`pause at an attach of gdb, ${crowd}: ${median(gdb).toFixed(2)} ms felt`);
  return [
    {
      what: `pause at attach, ${crowd}`,
      value: median(reported),
      spread: spread(reported),
      unit: 'ms',
      ...(bar !== undefined && {bar}),
      note: `longest of ${reported.length}: ${Math.max(...reported).toFixed(2)} ms; detach ${median(detach).toFixed(2)} ms`,
      raw: {reported, detach},
    },
    {
      what: `the same felt from inside, ${crowd}`,
      value: median(felt),
      spread: spread(felt),
      unit: 'ms',
      note: `without an attach: ${median(noise).toFixed(2)} ms`,
      raw: {felt, noise},
    },
    {
      what: `gdb's attach felt from inside, ${crowd}`,
      value: median(gdb),
      spread: spread(gdb),
      unit: 'ms',
      note: 'gdb -nx -batch -p PID -ex detach',
      raw: {gdb},
    },
  ];
}

export const pause: Bench = async options => {
  const figures: Figure[] = [];
  for (const crowd of CROWDS) figures.push(...(await pauseOf(crowd, options)));
  return figures;
};
