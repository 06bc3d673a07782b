// Those who look into a scoped program: a debugger that comes after us finds every stack as it would without us, and leaves
// a program that runs on; a core that the kernel writes of it can be read.
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {product} from '../support/checkout';
import {injected} from '../support/injector';
import {faultsSince, footprint, isPatched} from '../support/intact';
import {threadStates, tracerPid} from '../support/proc';
import type {Program} from '../support/program';
import {run, succeed} from '../support/program';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

const PAIRS = 8;
/** One that reads in each pair, and the main thread: all of them sleep in hooked calls. */
const BLOCKED = PAIRS + 1;
const MOVING_MS = 100;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** Its threads rest: those that read wait for what is not written. */
async function resting(): Promise<Awaited<ReturnType<typeof startTester>> & {folder: string}> {
  const folder = stage.folder();
  const tester = await startTester(stage, 'channels.c', {args: [String(PAIRS)], cwd: folder});
  await tester.program.ask('run', 'running');
  await sleep(MOVING_MS);
  await tester.program.ask('pause', 'paused');
  await until('all to wait', () => [...threadStates(tester.program.pid).values()].every(state => state === 'S'));
  return {...tester, folder};
}

/** Of each thread that waits in a call of its own: its functions from the innermost out. In no order. */
async function look(where: readonly string[], ...commands: readonly string[]): Promise<readonly string[]> {
  const each = ['set width 0', 'thread apply all -q bt', ...commands].flatMap(command => ['-ex', command]);
  const {stdout} = await run('gdb', ['-nx', '-batch', ...each, ...where]);
  const stacks: string[][] = [];
  for (const line of stdout.split('\n')) {
    const frame = /^#(\d+)\s+(?:0x[0-9a-f]+ in )?(\S+)/.exec(line);
    if (frame === null) continue;
    if (frame[1] === '0') stacks.push([]);
    stacks.at(-1)?.push(frame[2] ?? '');
  }
  const waiting = stacks.filter(stack => stack.includes('reader') || stack.includes('main'));
  return waiting.map(stack => stack.join(' < ')).sort();
}

it('a debugger that comes after us finds every stack, and leaves a program that runs on', async () => {
  const {program, folder} = await resting();
  const {pid} = program;
  const before = footprint(pid);
  const alone = await look(['-p', String(pid)]);
  expect(alone).toHaveLength(BLOCKED);
  await injected('attach', pid);
  expect(isPatched(pid)).toBe(true);
  // While it is there, nobody else gets in.
  const refusal = join(folder, 'refusal');
  const detach = `shell ${product.injector()} detach --pid ${pid} > ${refusal} || true`;
  const scoped = await look(['-p', String(pid)], detach);
  expect(scoped).toEqual(alone);
  expect(readFileSync(refusal, 'utf8')).toContain('"reason":"AlreadyTraced"');
  await until('the debugger to leave', () => tracerPid(pid) === 0);
  const [first] = (await program.ask('pause', 'paused')).split(' ');
  await until('it to move more', async () => {
    await program.ask('run', 'running');
    await sleep(MOVING_MS);
    const [second] = (await program.ask('pause', 'paused')).split(' ');
    return Number(second) > Number(first);
  });
  await injected('detach', pid);
  expect(faultsSince(before, {mappings: 'all'})).toEqual([]);
  await program.ask('quit', 'paused');
  expect(await program.finish()).toEqual({code: 0, signal: null});
  console.log(`gdb: ${scoped.length} stacks through hooked calls, as without hooks; the deepest: ${longest(scoped)}`);
});

/** A core of the program, which has ended then: written by the kernel where it writes them to files, else by gdb. */
async function coreOf(program: Program, folder: string): Promise<{core: string; by: string}> {
  const {pid} = program;
  const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'latin1').trim();
  const isFile = /^[^|/%]+$/.test(pattern);
  if (isFile) await succeed('prlimit', ['--pid', String(pid), '--core=unlimited:unlimited']);
  else await succeed('gcore', ['-o', join(folder, 'core'), String(pid)]);
  program.signal('SIGABRT');
  expect(await program.finish()).toEqual({code: null, signal: 'SIGABRT'});
  const core = [pattern, `${pattern}.${pid}`, `core.${pid}`]
    .map(name => join(folder, name))
    .find(path => existsSync(path));
  if (core === undefined) throw new Error('no core was written');
  return {core, by: isFile ? 'the kernel' : 'gdb'};
}

it('a core of a scoped program can be read', async () => {
  const {program, folder} = await resting();
  const alone = await look(['-p', String(program.pid)]);
  await injected('attach', program.pid);
  const {core, by} = await coreOf(program, folder);
  const dead = await look(['-c', core, program.file]);
  expect(dead).toEqual(alone);
  console.log(
    `a core by ${by}: ${dead.length} stacks through hooked calls, as without hooks; the deepest: ${longest(dead)}`,
  );
});

const longest = (stacks: readonly string[]): string => [...stacks].sort((a, b) => b.length - a.length)[0] ?? '';
