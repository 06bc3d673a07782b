// What one hooked write(2) of 64 bytes costs more than a plain one, when it is recorded (to a socket that speaks HTTP with its
// bytes, to another one without, to anything else by its count), drained and decoded; and what the same loop costs under strace and under a bpftrace
// uprobe pair. Pairs are measured one right after the other in one process, so that the machine's moods hit both.
import {setTimeout as sleep} from 'node:timers/promises';
import {maps, tracerPid} from '../support/proc';
import {Program} from '../support/program';
import {Scope} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';
import type {Bench, BenchOptions, Figure} from './figure';
import {flawOf} from './figure';
import {differences, median, spread} from './statistics';

interface Amount {
  readonly bursts: number;
  readonly writes: number;
  readonly restUs: number;
}

/** One burst's records fill a quarter of a ring; the rest is long enough to drain it. */
const RECORDED: Amount = {bursts: 60, writes: 4_000, restUs: 12_000};
/** A unix socket holds some 250 writes that nobody has read. */
const THROUGH_SOCKET: Amount = {bursts: 600, writes: 200, restUs: 1_000};
const TRACED: Amount = {bursts: 4, writes: 2_000, restUs: 1_000};

/** Nanoseconds of one write: in the middle one of the bursts, and in the fastest. */
async function measure(program: Program, {bursts, writes, restUs}: Amount): Promise<{typical: number; least: number}> {
  const answer = await program.ask(`measure ${bursts} ${writes} ${restUs}`, 'took', 120_000);
  const [typical = Number.NaN, least = Number.NaN] = answer.split(' ').map(took => Number(took) / writes);
  return {typical, least};
}

const SINKS = {
  null: {name: 'a null device, counted', amount: RECORDED},
  pipe: {name: 'a pipe, counted', amount: RECORDED},
  socket: {name: 'a socket of whose bytes nothing is made', amount: THROUGH_SOCKET},
  http: {name: 'a socket that speaks HTTP, with its bytes', amount: THROUGH_SOCKET},
} as const;

async function scoped(target: keyof typeof SINKS, {quick, say}: BenchOptions): Promise<Figure> {
  const {name, amount} = SINKS[target];
  const stage = new Stage();
  try {
    const {program} = await startTester(stage, 'writer.c', {args: [target]});
    const scope = await Scope.open(stage);
    const plain: number[] = [];
    const hooked: number[] = [];
    const least: number[] = [];
    let lost = 0;
    await measure(program, amount);
    for (let round = 0; round < (quick ? 3 : 15); round++) {
      const without = await measure(program, amount);
      await scope.attach(program.pid, '--no-history');
      const under = await measure(program, amount);
      lost += (await scope.detach(program.pid)).counts.lost;
      plain.push(without.typical);
      hooked.push(under.typical);
      least.push(under.least - without.least);
    }
    const added = differences(hooked, plain);
    say(`write of 64 bytes to ${target}: ${median(plain).toFixed(0)} ns plain, ${median(hooked).toFixed(0)} ns scoped`);
    return {
      what: `added to a write of 64 bytes to ${name}, recorded and drained`,
      value: median(added),
      spread: spread(added),
      unit: 'ns',
      bar: {atMost: 30},
      flaw: flawOf(lost),
      note: `plain ${median(plain).toFixed(0)} ns; fastest bursts: ${median(least).toFixed(1)} ns more`,
      raw: {plain, hooked, least},
    };
  } finally {
    await stage.close();
  }
}

async function traced(
  what: string,
  start: (program: Program) => Promise<Program>,
  stop: (tool: Program, program: Program) => Promise<void>,
  {quick, say}: BenchOptions,
): Promise<Figure> {
  const stage = new Stage();
  try {
    const {program} = await startTester(stage, 'writer.c', {args: ['null']});
    const plain: number[] = [];
    const under: number[] = [];
    for (let round = 0; round < (quick ? 1 : 5); round++) {
      plain.push((await measure(program, TRACED)).typical);
      const tool = await start(program);
      under.push((await measure(program, TRACED)).typical);
      await stop(tool, program);
      await tool.close();
    }
    const added = differences(under, plain);
    say(`the same under ${what}: ${median(under).toFixed(0)} ns`);
    return {
      what: `the same under ${what}`,
      value: median(added),
      spread: spread(added),
      unit: 'ns',
      raw: {plain, under},
    };
  } finally {
    await stage.close();
  }
}

async function startStrace(program: Program): Promise<Program> {
  const args = ['-f', '-e', 'trace=write', '-o', '/dev/null', '-p', String(program.pid)];
  const tool = await Program.start('strace', {args});
  await until('strace to attach', () => tracerPid(program.pid) !== 0);
  return tool;
}

async function stopStrace(tool: Program, program: Program): Promise<void> {
  tool.signal('SIGINT');
  await tool.finish();
  await until('strace to leave', () => tracerPid(program.pid) === 0);
}

async function startBpftrace(program: Program): Promise<Program> {
  const libc = maps(program.pid).find(({path}) => path.includes('/libc.so.6'))?.path;
  if (libc === undefined) throw new Error('the writer has no libc');
  const script = `uprobe:${libc}:write { @at[tid] = nsecs; } uretprobe:${libc}:write { @took = sum(nsecs - @at[tid]); }`;
  const tool = await Program.start('bpftrace', {args: ['-p', String(program.pid), '-e', script]});
  await tool.answer('Attaching', 60_000);
  await sleep(1_000);
  return tool;
}

async function stopBpftrace(tool: Program): Promise<void> {
  tool.signal('SIGINT');
  await tool.finish();
}

export const writeCost: Bench = async options => [
  await scoped('socket', options),
  await scoped('http', options),
  await scoped('pipe', options),
  await scoped('null', options),
  await traced('a bpftrace uprobe and uretprobe pair', startBpftrace, stopBpftrace, options),
  await traced('strace', startStrace, stopStrace, options),
];
