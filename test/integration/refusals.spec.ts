// Each way in which an attach can be refused: the typed reason, a text that says what to do, the documented exit code, and
// nothing left behind in the target.
import {chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Reason} from '@scope/api';
import type {ScopeErrorView} from '@scope/core';
import {REASON_TABLE} from '@scope/core';
import {checkout} from '../support/checkout';
import {compileThirtyTwoBit, compileWithoutSites} from '../support/compile';
import {startIdleTarget} from '../support/idle-target';
import {inject} from '../support/injector';
import {faultsSince, footprint, isPatched} from '../support/intact';
import {anyKernelThread, kernelIsAtLeast, statusField, tracerPid, unusedPid} from '../support/proc';
import {Program, run, succeed} from '../support/program';
import {Scope, ofKind} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

const NOBODY = 65_534;

let stage: Stage;
let scope: Scope;

beforeEach(async () => {
  stage = new Stage();
  scope = await Scope.open(stage);
});
afterEach(async () => {
  await stage.close();
});

/** What the agent answers to a wish to attach that it refuses. */
async function refusedByAgent(request: unknown): Promise<ScopeErrorView> {
  const answer = await scope.ask('POST', '/v1/sessions', request).catch((thrown: unknown) => thrown);
  if (!(answer instanceof Error)) throw new Error(`was not refused: ${JSON.stringify(answer)}`);
  const text = answer.message.slice(answer.message.indexOf('{'));
  return (JSON.parse(text) as {error: ScopeErrorView}).error;
}

/** `scope attach …` must fail with that reason's exit code, and say on stderr what was wrong and what to do. */
async function expectRefused(reason: Reason, args: readonly string[], says: RegExp): Promise<void> {
  const {code, stdout, stderr} = await scope.command(['attach', ...args]);
  expect({code, stderr}).toMatchObject({code: REASON_TABLE[reason].exitCode});
  expect(stderr).toMatch(says);
  expect(stdout).not.toMatch(/Scoped/);
}

async function expectProcessRefused(reason: Reason, pid: number, says: RegExp): Promise<void> {
  await expectRefused(reason, [String(pid)], says);
  expect(await refusedByAgent({pid, owner: 'test'})).toMatchObject({
    reason,
    advice: expect.stringMatching(/\S/) as string,
  });
  const {reply, code} = await inject('attach', pid);
  expect({reason: reply?.reason, code}).toEqual({reason, code: 1});
}

describe('what is no process', () => {
  it('a pid that nobody has', async () => {
    await expectProcessRefused('NoSuchProcess', unusedPid(), /no process/i);
  });

  it('a name that nobody bears', async () => {
    await expectRefused('NoSuchProcess', ['nobody-bears-this-name'], /nobody-bears-this-name/);
  });

  it.each(['0', '-1', '-99999', '99999999999'])('the number %s', async number => {
    await expectRefused('InvalidArgument', ['--', number], /PID/);
  });

  it.each([0, -1, 1.5, 'twelve', null])('%p through the socket', async pid => {
    expect(await refusedByAgent({pid})).toMatchObject({reason: 'InvalidArgument'});
  });

  it('a name that two bear, without a terminal: the table of both', async () => {
    const [one, other] = [await startTester(stage, 'gap.c'), await startTester(stage, 'gap.c')];
    const folder = stage.folder();
    const twins = [];
    for (let i = 0; i < 2; i++) {
      const cwd = join(folder, String(i));
      mkdirSync(cwd);
      const twin = stage.use(await Program.start('/bin/sleep', {args: ['600'], cwd, name: `twin${process.pid}`}));
      await until('the name', () => statusField(`/proc/${twin.pid}`, 'Name') === `twin${process.pid}`);
      twins.push(twin.pid);
    }
    expect([one.program.alive, other.program.alive]).toEqual([true, true]);
    const {code, stderr} = await scope.command(['attach', `twin${process.pid}`]);
    expect(code).toBe(REASON_TABLE.AmbiguousName.exitCode);
    expect(stderr).toContain('Found multiple processes matching that name...');
    expect(stderr).toMatch(/ID\s+PID\s+USER\s+SCOPED\s+COMMAND/);
    for (const pid of twins) expect(stderr).toMatch(new RegExp(`\\b${pid}\\b`));
  });
});

describe('what can not be scoped', () => {
  it('a kernel thread', async () => {
    await expectProcessRefused('KernelThread', anyKernelThread(), /kernel thread/);
  });

  it('a zombie', async () => {
    const {ready} = await startTester(stage, 'zombie.c');
    await expectProcessRefused('Zombie', Number(ready), /zombie/);
  });

  it('a 32-bit program', async () => {
    const program = stage.use(await Program.start(await compileThirtyTwoBit()));
    await program.asleep();
    const before = footprint(program.pid);
    await expectProcessRefused('ThirtyTwoBit', program.pid, /32/);
    expect(faultsSince(before, {mappings: 'all'})).toEqual([]);
    program.assertAlive();
  });

  it('a program with no site that can be hooked', async () => {
    const program = stage.use(await Program.start(await compileWithoutSites()));
    await program.asleep();
    const before = footprint(program.pid);
    await expectProcessRefused('NoHookableSites', program.pid, /hook/);
    expect(faultsSince(before, {mappings: 'all'})).toEqual([]);
    program.assertAlive();
  });
});

describe('what somebody else holds', () => {
  it.each([
    ['gdb', ['-nx', '-q', '-p']],
    ['strace', ['-f', '-o', '/dev/null', '-p']],
  ])('a process that %s is attached to', async (tool, args) => {
    const {program} = await startIdleTarget(stage);
    const debuggerOfIt = await Program.start(tool, {args: [...args, String(program.pid)]});
    await until('the tracer', () => tracerPid(program.pid) !== 0);
    await sleep(500); // gdb reads symbols first
    const tracer = tracerPid(program.pid);
    await expectProcessRefused('AlreadyTraced', program.pid, new RegExp(String(tracer)));
    expect(tracerPid(program.pid)).toBe(tracer);
    if (tool === 'gdb') {
      debuggerOfIt.send('detach');
      debuggerOfIt.send('quit');
    } else {
      debuggerOfIt.signal('SIGINT');
    }
    await until('the tracer to leave', () => tracerPid(program.pid) === 0);
    await debuggerOfIt.finish();
    await debuggerOfIt.close();
    // As it says: once the debugger is gone, it works.
    const before = footprint(program.pid);
    await scope.attach(program.pid);
    await scope.detach(program.pid);
    expect(faultsSince(before, {mappings: 'all'})).toEqual([]);
  });

  it('a process that is scoped already', async () => {
    const {program, intact} = await startIdleTarget(stage);
    const session = await scope.attach(program.pid);
    await expectRefused('AlreadyScoped', [String(program.pid)], /already/i);
    const {reply} = await inject('attach', program.pid);
    expect(reply?.reason).toBe('AlreadyScoped');
    expect((await scope.session(session.id)).state).toBe('Scoped');
    await scope.detach(program.pid);
    intact();
  });

  it('a detach of what is not scoped', async () => {
    const {program, intact} = await startIdleTarget(stage);
    const {code, stderr} = await scope.command(['detach', String(program.pid)]);
    expect({code, stderr}).toMatchObject({code: REASON_TABLE.NotScoped.exitCode});
    intact();
  });

  it('a process that job control has stopped, which stays so; continued, it is scoped', async () => {
    const {program, intact} = await startIdleTarget(stage);
    program.signal('SIGSTOP');
    await until('the stop', () => statusField(`/proc/${program.pid}`, 'State').startsWith('T'));
    await expectProcessRefused('Stopped', program.pid, /kill -CONT/);
    expect(statusField(`/proc/${program.pid}`, 'State')).toMatch(/^T/);
    expect(isPatched(program.pid)).toBe(false);
    program.signal('SIGCONT');
    await until('it to run', () => !statusField(`/proc/${program.pid}`, 'State').startsWith('T'));
    expect(await program.ask('report', 'gap')).toMatch(/^\d+$/);
    await scope.attach(program.pid);
    await scope.detach(program.pid);
    intact();
  });
});

describe('what ends in the middle', () => {
  it.each([
    ['ends', {'process.exit.code': 0}],
    ['is killed', {'scope.exit.signal': 'SIGKILL'}],
  ])('a process that %s while it is scoped: its session ends as Exited, its events are kept', async (end, how) => {
    const {program} = await startTester(stage, 'gap.c');
    const session = await scope.attach(program.pid);
    if (end === 'ends') program.send('quit');
    else program.signal('SIGKILL');
    await program.finish();
    const ended = await until('the session to end', async () => {
      const view = await scope.session(session.id);
      return view.state === 'Exited' && view;
    });
    expect(ended.counts.lost).toBe(0);
    const [exit] = scope.events(session).filter(ofKind('process.exit'));
    // An older kernel forgets it as soon as the parent has asked, which here it does at once.
    expect(kernelIsAtLeast(6, 15) ? [how] : [how, {}]).toContainEqual(exit?.attributes);
  });
});

describe('who may not', () => {
  it('somebody who is not root', async () => {
    const {program, intact} = await startIdleTarget(stage);
    // The checkout may lie where others can't read: the command is copied to where they can.
    const folder = stage.folder();
    for (let above = folder; above.includes('scope-test-'); above = join(above, '..')) chmodSync(above, 0o755);
    mkdirSync(join(folder, 'bin'));
    mkdirSync(join(folder, 'dist'));
    for (const file of ['bin/scope', 'dist/cli.cjs']) copyFileSync(join(checkout, file), join(folder, file));
    chmodSync(join(folder, 'bin/scope'), 0o755);
    const {code, stderr} = await run(
      'setpriv',
      [
        `--reuid=${NOBODY}`,
        `--regid=${NOBODY}`,
        '--clear-groups',
        join(folder, 'bin/scope'),
        'attach',
        String(program.pid),
      ],
      {cwd: '/', env: {HOME: '/', SCOPE_SOCKET: scope.socket}},
    );
    expect({code, stderr}).toMatchObject({code: REASON_TABLE.NotRoot.exitCode});
    expect(stderr).toMatch(/root/);
    expect(stderr).toMatch(/sudo/);
    intact();
  });
});

describe('where the history can not go', () => {
  it('a folder that can not be made', async () => {
    const {program, intact} = await startIdleTarget(stage);
    const file = join(stage.folder(), 'a-file');
    writeFileSync(file, '');
    await expectRefused('HistoryNotWritable', [String(program.pid), '--history', join(file, 'history')], /history/i);
    intact();
  });

  async function mounted(options: string): Promise<string> {
    const folder = stage.folder();
    await succeed('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]);
    stage.defer(`the mount ${folder}`, async () => {
      await succeed('umount', ['-l', folder]);
    });
    return folder;
  }

  it('a file system that is read-only', async () => {
    const {program, intact} = await startIdleTarget(stage);
    const folder = await mounted('size=64k,ro');
    await expectRefused('HistoryNotWritable', [String(program.pid), '--history', join(folder, 'history')], /history/i);
    intact();
  });

  it('a disk that is full already', async () => {
    const {program, intact} = await startIdleTarget(stage);
    const folder = await mounted('size=16k');
    await run('dd', ['if=/dev/zero', `of=${join(folder, 'all')}`, 'bs=4k']);
    await expectRefused('DiskFull', [String(program.pid), '--history', join(folder, 'history')], /full|space/i);
    intact();
  });

  it('a disk that becomes full: the session goes on and says so, the target feels nothing', async () => {
    const {program} = await startTester(stage, 'churn.c');
    const folder = await mounted('size=200k');
    const session = await scope.attach(program.pid, '--history', join(folder, 'history'));
    const view = await until(
      'the trouble to be told',
      async () => {
        const now = await scope.session(session.id);
        return now.problems.some(({reason}) => reason === 'DiskFull') && now;
      },
      {timeoutMs: 30_000, intervalMs: 100},
    );
    expect(view.state).toBe('Scoped');
    program.assertAlive();
    expect(Number(await program.ask('status', 'status'))).toBeGreaterThan(0);
    const ended = await scope.detach(program.pid);
    expect(ended.state).toBe('Detached');
    expect(ended.counts.dropped.history).toBeGreaterThan(0);
    await program.ask('quit', 'status');
    expect(await program.finish()).toEqual({code: 0, signal: null});
  });
});

describe('when the agent is gone', () => {
  it('the target runs on, commands say so, and a detach needs no agent', async () => {
    const {program, intact} = await startIdleTarget(stage);
    await scope.attach(program.pid);
    scope.agent.signal('SIGKILL');
    await scope.agent.finish();
    program.assertAlive();
    const {code, stderr} = await scope.command(['flows']);
    expect({code, stderr}).toMatchObject({code: REASON_TABLE.AgentUnavailable.exitCode});
    expect(stderr).toMatch(/agent/);
    const detached = await scope.command(['detach', String(program.pid)]);
    expect(detached).toMatchObject({code: 0});
    intact();
    await scope.startAgent();
    await scope.attach(program.pid);
    await scope.detach(program.pid);
    intact();
  });

  it('the next agent takes back what the dead one held, and lets go of it when told to', async () => {
    const {program, intact} = await startIdleTarget(stage);
    const session = await scope.attach(program.pid);
    scope.agent.signal('SIGKILL');
    await scope.agent.finish();
    await scope.startAgent();
    await until('the next agent to have it back', async () => (await scope.session(session.id)).state === 'Scoped');
    expect(isPatched(program.pid)).toBe(true);
    expect(await scope.detach(program.pid)).toMatchObject({id: session.id, state: 'Detached'});
    expect((await inject('detach', program.pid)).reply?.reason).toBe('NotScoped');
    intact();
  });

  it('one that knows nothing of it attaches all the same: what nobody reads is replaced', async () => {
    const {program, intact} = await startIdleTarget(stage);
    await scope.attach(program.pid);
    scope.agent.signal('SIGKILL');
    await scope.agent.finish();
    rmSync(`${scope.socket}.d`, {recursive: true});
    await scope.startAgent();
    expect(isPatched(program.pid)).toBe(true);
    expect((await scope.attach(program.pid)).state).toBe('Scoped');
    expect(await program.ask('report', 'gap')).toMatch(/^\d+$/);
    const session = await scope.detach(program.pid);
    expect(session.counts.delivered).toBeGreaterThan(2);
    intact();
  });

  it('one that lives keeps what it reads: a second agent is refused', async () => {
    const {program, intact} = await startIdleTarget(stage);
    const session = await scope.attach(program.pid);
    const second = await Scope.open(stage);
    const {code, stderr} = await second.command(['attach', String(program.pid)]);
    expect(code).toBe(REASON_TABLE.AlreadyScoped.exitCode);
    expect(stderr).toContain(`by the agent of process ${await scope.agentPid()}`);
    expect(isPatched(program.pid)).toBe(true);
    await program.ask('report', 'gap');
    const ended = await scope.detach(program.pid);
    expect({id: ended.id, state: ended.state}).toEqual({id: session.id, state: 'Detached'});
    intact();
  });
});
