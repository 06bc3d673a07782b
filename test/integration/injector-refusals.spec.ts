// What the injector refuses by itself, without an agent: the typed reason on its last line, exit code 1, and nothing left.
import {chmodSync, copyFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {product} from '../support/checkout';
import {compileThirtyTwoBit, compileWithoutSites} from '../support/compile';
import {startIdleTarget} from '../support/idle-target';
import {inject, injected} from '../support/injector';
import {faultsSince, footprint} from '../support/intact';
import {anyKernelThread, tracerPid, unusedPid} from '../support/proc';
import {Program, run} from '../support/program';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

const NOBODY = 65_534;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

async function refusal(pid: number): Promise<string | undefined> {
  const {reply, code} = await inject('attach', pid);
  expect({ok: reply?.ok, code}).toEqual({ok: false, code: 1});
  expect(reply?.message).toMatch(new RegExp(String(pid)));
  return reply?.reason;
}

it.each(['0', '-1', 'twelve', '', '1.5', '99999999999'])('"%s" given to the injector', async pid => {
  const {stdout} = await run(product.injector(), ['attach', '--pid', pid]);
  expect(JSON.parse(stdout)).toMatchObject({ok: false, reason: 'InvalidArgument'});
});

it('a pid that nobody has', async () => {
  expect(await refusal(unusedPid())).toBe('NoSuchProcess');
});

it('a kernel thread', async () => {
  expect(await refusal(anyKernelThread())).toBe('KernelThread');
});

it('a zombie', async () => {
  const {ready} = await startTester(stage, 'zombie.c');
  expect(await refusal(Number(ready))).toBe('Zombie');
});

it.each([
  ['a 32-bit program', compileThirtyTwoBit, 'ThirtyTwoBit'],
  ['a program with no site that can be hooked', compileWithoutSites, 'NoHookableSites'],
] as const)('%s', async (_, compile, reason) => {
  const program = stage.use(await Program.start(await compile()));
  await program.asleep();
  const before = footprint(program.pid);
  expect(await refusal(program.pid)).toBe(reason);
  expect(faultsSince(before, {mappings: 'all'})).toEqual([]);
  program.assertAlive();
});

it.each([
  ['gdb', ['-nx', '-q', '-p']],
  ['strace', ['-f', '-o', '/dev/null', '-p']],
])('a process that %s holds; once it has let go, an attach works', async (tool, args) => {
  const {program, intact} = await startIdleTarget(stage);
  const holder = stage.use(await Program.start(tool, {args: [...args, String(program.pid)]}));
  await until('the tracer', () => tracerPid(program.pid) !== 0);
  await sleep(500); // gdb reads symbols first
  expect(await refusal(program.pid)).toBe('AlreadyTraced');
  expect(tracerPid(program.pid)).not.toBe(0);
  if (tool === 'gdb') {
    holder.send('detach');
    holder.send('quit');
  } else {
    holder.signal('SIGINT');
  }
  await until('the tracer to leave', () => tracerPid(program.pid) === 0);
  await holder.finish();
  await injected('attach', program.pid);
  await injected('detach', program.pid);
  intact();
});

it('a process that is scoped already, and a detach of one that is not', async () => {
  const {program, intact} = await startIdleTarget(stage);
  await injected('attach', program.pid);
  expect(await refusal(program.pid)).toBe('AlreadyScoped');
  await injected('detach', program.pid);
  intact();
  expect((await inject('detach', program.pid)).reply?.reason).toBe('NotScoped');
  intact();
});

it('a process killed at any moment of an attach: a typed reason, never a hang', async () => {
  const outcomes = new Map<string, number>();
  for (let delayMs = 0; delayMs < 500; delayMs += 20) {
    // Its text is large: planning takes a while.
    const program = await Program.start(process.execPath, {
      args: ['-e', 'console.log("up"); setInterval(() => {}, 1000)'],
    });
    await program.answer('up');
    const attempt = inject('attach', program.pid);
    await sleep(delayMs);
    program.signal('SIGKILL');
    await program.finish();
    const {reply} = await attempt;
    const outcome = reply?.ok === true ? 'ok' : (reply?.reason ?? 'no answer');
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  console.log(`killed in mid-attach: ${JSON.stringify(Object.fromEntries(outcomes))}`);
  const known = ['ok', 'ProcessExited', 'NoSuchProcess', 'Zombie'];
  expect([...outcomes.keys()].filter(outcome => !known.includes(outcome))).toEqual([]);
  expect(outcomes.get('ProcessExited') ?? 0).toBeGreaterThan(0);
});

it('an injector that is not root', async () => {
  const {program, intact} = await startIdleTarget(stage);
  const folder = stage.folder();
  for (let above = folder; above.includes('scope-test-'); above = join(above, '..')) chmodSync(above, 0o755);
  const copy = join(folder, 'scope-inject');
  copyFileSync(product.injector(), copy);
  chmodSync(copy, 0o755);
  const drop = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  const {stdout, code} = await run('setpriv', [...drop, copy, 'attach', '--pid', String(program.pid)], {cwd: '/'});
  expect(code).toBe(1);
  expect(['NotRoot', 'MissingCapability']).toContain((JSON.parse(stdout) as {reason: string}).reason);
  intact();
});
