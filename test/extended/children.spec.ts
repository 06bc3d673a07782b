// `--children`: what a scoped process starts is scoped from its first call on, by whatever way it is started; and not at
// all where nobody asked.
import {readFileSync, realpathSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import type {SessionView} from '@scope/attach';
import {compileC, compileGo} from '../support/compile';
import {faultsSince, footprint, textDifferences} from '../support/intact';
import {libcs} from '../support/libcs';
import {measuredOrSaid} from '../support/not-measured';
import {maps, threadStates, tracerPid} from '../support/proc';
import {Program, succeed} from '../support/program';
import {Scope, ofKind, sum} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

let stage: Stage;
let scope: Scope;
let folder: string;
beforeEach(async () => {
  stage = new Stage();
  folder = realpathSync(stage.folder());
  scope = await Scope.open(stage);
});
afterEach(async () => {
  await stage.close();
});

/** Every session of the agent that is about this process. */
async function sessionsOf(pid: number): Promise<SessionView[]> {
  const {sessions} = (await scope.ask<{sessions: SessionView[]}>('GET', '/v1/sessions')).body;
  return sessions.filter(session => session.pid === pid);
}

const about = (events: readonly ScopeEvent[], path: string): ScopeEvent[] =>
  events.filter(({attributes}) => attributes['file.path'] === path);

const WAYS = [
  'fork',
  'fork-exec',
  'vfork',
  'clone',
  'quiet-clone',
  'files-clone',
  'vm-clone',
  'vm-vfork',
  'clone3',
  'clone3-pidfd',
  'posix_spawn',
  'two-forks',
  'fork-in-vfork',
];

/** The session of whoever wrote the file, once it is over: a child of the root's, or a child's child. */
async function writerOf(root: SessionView, path: string): Promise<SessionView> {
  return until(`a session that tells of ${path}`, async () => {
    const over = (await childrenOf(root)).filter(({endedAt}) => endedAt !== undefined);
    return over.find(session => about(scope.events(session), path).some(ofKind('fs.close')));
  });
}

async function childrenOf(root: SessionView): Promise<SessionView[]> {
  const {sessions} = (await scope.ask<{sessions: SessionView[]}>('GET', '/v1/sessions')).body;
  return sessions.filter(({childOf}) => childOf?.session === root.id);
}

/** Resolves once the children, all of them together, have told of so many bytes written into the file. */
async function bytesInto(root: SessionView, path: string, bytes: number): Promise<void> {
  let seen: ScopeEvent[] = [];
  await until(`${bytes} bytes written into ${path}`, async () => {
    seen = about(
      (await childrenOf(root)).flatMap(session => scope.events(session)),
      path,
    );
    return sum(seen.filter(ofKind('fs.close')), 'scope.fs.write.bytes') >= bytes;
  }).catch((thrown: unknown) => {
    throw new Error(`of ${path} was seen: ${JSON.stringify(seen)}`, {cause: thrown});
  });
  expect(sum(seen.filter(ofKind('fs.close')), 'scope.fs.write.bytes')).toBe(bytes);
  expect(seen.some(ofKind('fs.open'))).toBe(true);
}

/** These make a child whose own child does the work. */
const BY_GRANDCHILD = ['two-forks', 'fork-in-vfork'];

describe.each(Object.entries(libcs))('of a C program with %s', (what, find) => {
  it('a child is seen from its first call to its last, however it is started', async () => {
    const libc = await measuredOrSaid(what, find);
    if (libc === undefined) return;
    const program = stage.use(await Program.start(await libc.compile('children.c'), {args: [folder], cwd: folder}));
    await program.answer('ready');
    const before = footprint(program.pid);
    const root = await scope.attach(program.pid, '--capture', 'fs', '--children');
    expect(root).toMatchObject({children: true, problems: []});
    for (const way of WAYS) {
      const [, pid, bytes] = (await program.ask(way, 'child')).split(' ').map(Number) as [number, number, number];
      const path = join(folder, way);
      const session = await writerOf(root, path);
      const events = about(scope.events(session), path);
      expect({
        way,
        isTheChild: session.pid === pid,
        opened: events.filter(ofKind('fs.open')).length,
        written: sum(events.filter(ofKind('fs.close')), 'scope.fs.write.bytes'),
        pids: [...new Set(events.map(({process}) => process.pid))],
        state: session.state,
        lost: session.counts.lost,
        owners: session.owners,
      }).toEqual({
        way,
        isTheChild: !BY_GRANDCHILD.includes(way),
        opened: 1,
        written: bytes,
        pids: [session.pid],
        state: 'Exited',
        lost: 0,
        owners: ['cli'],
      });
      // It is none of its parent's doings.
      expect(about(scope.events(root), path)).toEqual([]);
    }
    expect(await scope.session(root.id)).toMatchObject({state: 'Scoped', problems: []});
    await scope.detach(program.pid);
    expect(faultsSince(before)).toEqual([]);
    program.send('quit');
    expect(await program.finish()).toEqual({code: 0, signal: null});
  });
});

it('of a shell: each member of a pipeline, subshells and programs', async () => {
  const program = stage.use(await Program.start('/bin/sh', {cwd: folder}));
  const root = await scope.attach(program.pid, '--capture', 'fs', '--children');
  program.send('echo one two | tr a-z A-Z | cat > piped; (echo in a subshell > sub); /bin/echo said > said; cat said');
  expect(await program.line()).toBe('said');
  program.endInput();
  expect(await program.finish()).toEqual({code: 0, signal: null});
  await bytesInto(root, join(folder, 'piped'), 8);
  await bytesInto(root, join(folder, 'sub'), 14);
  await bytesInto(root, join(folder, 'said'), 5);
  await allOver(root);
});

it('of Python: subprocess, os.fork, multiprocessing by fork and by spawn', async () => {
  const script = `
import multiprocessing, os, subprocess, sys
def work(name):
    with open(name, 'w') as file: file.write(name * 100)
if __name__ == '__main__':
    print('ready', flush=True)
    sys.stdin.readline()
    subprocess.run(['sh', '-c', 'printf %s subprocess > subprocess'], check=True)
    subprocess.run('printf %s shell > shell', shell=True, check=True, preexec_fn=os.setpgrp)
    pid = os.fork()
    if pid == 0:
        work('forked')
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    for how in ('fork', 'spawn'):
        child = multiprocessing.get_context(how).Process(target=work, args=('by-' + how,))
        child.start(); child.join()
        assert child.exitcode == 0
    print('done', flush=True)
    sys.stdin.readline()
`;
  writeFileSync(join(folder, 'script.py'), script);
  const program = stage.use(await Program.start('/usr/bin/python3', {args: ['script.py'], cwd: folder}));
  await program.answer('ready');
  const root = await scope.attach(program.pid, '--capture', 'fs', '--children');
  await program.ask('go', 'done', 60_000);
  const written = {subprocess: 10, shell: 5, forked: 600, 'by-fork': 700, 'by-spawn': 800};
  for (const [name, bytes] of Object.entries(written)) await bytesInto(root, join(folder, name), bytes);
  program.send('end');
  expect(await program.finish()).toEqual({code: 0, signal: null});
  await allOver(root);
});

it('of a Go program: os/exec', async () => {
  const program = stage.use(await Program.start(await compileGo('go-spawner'), {cwd: folder}));
  await program.answer('ready');
  const root = await scope.attach(program.pid, '--capture', 'fs', '--children');
  await program.ask('go', 'done', 60_000);
  for (const name of ['one', 'two', 'three']) await bytesInto(root, join(folder, name), name.length);
  program.send('quit');
  expect(await program.finish()).toEqual({code: 0, signal: null});
  await allOver(root);
});

/** Every child's session has ended by itself, without trouble. */
async function allOver(root: SessionView): Promise<void> {
  const children = await until('all children to be over', async () => {
    const found = await childrenOf(root);
    return found.every(({endedAt}) => endedAt !== undefined) ? found : undefined;
  });
  expect(children.length).toBeGreaterThan(0);
  const states = children.map(({state, problems, counts}) => ({state, problems, lost: counts.lost}));
  expect(new Set(states.map(state => JSON.stringify(state)))).toEqual(
    new Set([JSON.stringify({state: 'Exited', problems: [], lost: 0})]),
  );
  expect((await scope.session(root.id)).problems).toEqual([]);
}

it('are left alone where nobody asks: not scoped, not traced', async () => {
  const program = stage.use(await Program.start('/bin/sh', {cwd: folder}));
  await scope.attach(program.pid, '--capture', 'fs');
  program.send('mkfifo never; sleep 60 & echo $!; (read line < never) & echo $!');
  const pids = [Number(await program.line()), Number(await program.line())];
  expect(tracerPid(program.pid)).toBe(0);
  for (const pid of pids) {
    expect(tracerPid(pid)).toBe(0);
    expect(await sessionsOf(pid)).toEqual([]);
  }
  // The one that has executed another program carries nothing of ours.
  const [sleeping = 0] = pids;
  expect(maps(sleeping).filter(({path}) => path.includes('scope-ring'))).toEqual([]);
  pids.forEach(pid => process.kill(pid, 'SIGKILL'));
});

it('that live on are let go with their parent’s session, whole', async () => {
  const program = stage.use(await Program.start('/bin/sh', {cwd: folder}));
  const root = await scope.attach(program.pid, '--capture', 'fs', '--children');
  program.send('mkfifo never; sleep 60 & echo $!; (read line < never) & echo $!');
  const pids = [Number(await program.line()), Number(await program.line())];
  await until('their sessions', async () => {
    const children = await childrenOf(root);
    return pids.every(pid => children.some(child => child.pid === pid && child.state === 'Scoped'));
  });
  // One by itself first: it is not followed any more, the others are.
  const [alone = 0, other = 0] = pids;
  await scope.detach(alone);
  expect([tracerPid(alone), textDifferences(alone)]).toEqual([0, []]);
  expect(tracerPid(other)).toBeGreaterThan(0);
  await scope.detach(program.pid);
  for (const pid of [program.pid, ...pids]) {
    expect([pid, tracerPid(pid), textDifferences(pid)]).toEqual([pid, 0, []]);
    expect(maps(pid).filter(({path}) => path.includes('scope-ring'))).toEqual([]);
  }
  expect((await childrenOf(root)).map(({state}) => state).sort()).toEqual(
    expect.not.arrayContaining(['Scoped', 'Failed']),
  );
  pids.forEach(pid => process.kill(pid, 'SIGKILL'));
});

it('are scoped only as many as may be: the others run unscoped, and are counted', async () => {
  const scope2 = await Scope.open(stage, {agentArgs: ['--most-children', '2']});
  const program = stage.use(await Program.start('/bin/sh', {cwd: folder}));
  const root = await scope2.attach(program.pid, '--capture', 'fs', '--children');
  const pids: number[] = [];
  stage.defer('the children', () => {
    pids.forEach(pid => process.kill(pid, 'SIGKILL'));
  });
  const asleep = (pid: number): boolean => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n';
  for (let i = 0; i < 5; i += 1) {
    program.send('sleep 60 & echo $!');
    const pid = Number(await program.line());
    pids.push(pid);
    // A child has one session until it executes, and another one from there on: for a moment it is in both.
    await until('the child to sleep', () => asleep(pid));
  }
  const scoped = (pid: number): boolean => maps(pid).some(({path}) => path.includes('scope-ring'));
  await until('two children to be scoped', async () => {
    const {sessions} = (await scope2.ask<{sessions: SessionView[]}>('GET', '/v1/sessions')).body;
    return sessions.filter(({childOf, state}) => childOf !== undefined && state === 'Scoped').length === 2;
  });
  expect(pids.filter(scoped)).toEqual(pids.slice(0, 2));
  const [problem] = (await scope2.session(root.id)).problems;
  expect(problem?.message).toMatch(/children of process \d+ so far were not scoped: as many as may be/);
});

describe('what a tracer could disturb', () => {
  const follow = async (program: Program): Promise<SessionView> => {
    const root = await scope.attach(program.pid, '--capture', 'fs', '--children');
    expect(tracerPid(program.pid)).toBeGreaterThan(0);
    return root;
  };

  it('signals that do nothing interrupt nothing; those with a handler do', async () => {
    const {program} = await startTester(stage, 'ignored.c');
    await follow(program);
    for (const call of ['epoll', 'receive', 'poll']) {
      await program.ask(call, 'waiting');
      for (const signal of ['SIGUSR1', 'SIGWINCH', 'SIGCHLD', 'SIGURG', 'SIGUSR1'] as const) {
        program.signal(signal);
        await sleep(20);
      }
      program.send('tell');
      expect([call, await program.line()]).toEqual([call, `returned ${call} done`]);
      await program.ask(call, 'waiting');
      program.signal('SIGUSR2');
      expect([call, await program.line()]).toEqual([call, `returned ${call} EINTR`]);
    }
    program.send('quit');
    expect(await program.finish()).toEqual({code: 0, signal: null});
  });

  it('job control stops and continues it, and its children', async () => {
    const program = stage.use(await Program.start('/bin/sh', {cwd: folder}));
    await follow(program);
    program.send('while :; do echo x >> ticks; /bin/sleep 0.01; done & echo $!');
    const child = Number(await program.line());
    const ticks = (): number => statSync(join(folder, 'ticks'), {throwIfNoEntry: false})?.size ?? 0;
    await until('the child at work', () => ticks() > 4);
    for (let round = 0; round < 3; round += 1) {
      process.kill(child, 'SIGSTOP');
      program.signal('SIGSTOP');
      await sleep(300);
      const [before, states] = [ticks(), [...threadStates(child).values(), ...threadStates(program.pid).values()]];
      expect(states.every(state => state === 'T' || state === 't')).toBe(true);
      await sleep(300);
      expect(ticks()).toBe(before);
      process.kill(child, 'SIGCONT');
      program.signal('SIGCONT');
      await until('the child at work again', () => ticks() > before + 4);
    }
    // Stopped while it is let go: it stays stopped.
    process.kill(child, 'SIGSTOP');
    await sleep(300);
    process.kill(tracerPid(program.pid), 'SIGKILL');
    await until('nobody traces it', () => tracerPid(child) === 0);
    const before = ticks();
    await sleep(300);
    expect([ticks(), [...threadStates(child).values()]]).toEqual([before, ['T']]);
    process.kill(child, 'SIGCONT');
    await until('the child at work again', () => ticks() > before + 4);
    process.kill(child, 'SIGKILL');
  });

  it('a program that takes on another user does so', async () => {
    const setuid = join(folder, 'as-nobody');
    await succeed('cp', ['/usr/bin/id', setuid]);
    await succeed('chown', ['nobody', setuid]);
    await succeed('chmod', ['4755', setuid]);
    const program = stage.use(await Program.start('/bin/sh', {cwd: '/', uid: 12345}));
    await succeed('chmod', ['-R', 'a+rX', join(folder, '..'), folder]);
    program.send(`${setuid} -u`);
    const unscoped = await program.line();
    await follow(program);
    program.send(`${setuid} -u`);
    expect(await program.line()).toBe(unscoped);
    expect(unscoped).not.toBe('12345');
  });
});

describe('under a storm of births', () => {
  const ROUNDS = 6;
  let program: Program;
  beforeEach(async () => {
    program = stage.use(await Program.start(await compileC('children.c'), {args: [folder], cwd: folder}));
    await program.answer('ready');
    await program.ask('storm', 'storm');
  });
  const made = async (): Promise<number> => Number(await program.ask('count', 'count'));
  /** Its children are checked by the program itself: each one's exit code, and that none is missing. */
  const goesOn = async (): Promise<void> => {
    const before = await made();
    await until('more children', async () => (await made()) > before + WAYS.length, {timeoutMs: 30_000});
  };

  /** How it ends, and where its code differs from its files. */
  const ending = async (): Promise<unknown> => {
    await program.ask('stop', 'stopped');
    const differences = textDifferences(program.pid);
    program.send('quit');
    return {differences, exit: await program.finish()};
  };
  const WHOLE = {differences: [], exit: {code: 0, signal: null}};

  it('the follower is killed again and again, and nobody is harmed', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const root = await scope.attach(program.pid, '--capture', 'fs', '--children');
      await goesOn();
      const follower = tracerPid(program.pid);
      expect(follower).toBeGreaterThan(0);
      process.kill(follower, 'SIGKILL');
      await until('the death to be told', async () =>
        (await scope.session(root.id)).problems.some(({message}) => message.includes('not followed any more')),
      );
      expect(tracerPid(program.pid)).toBe(0);
      await goesOn();
      await scope.detach(program.pid);
      program.assertAlive();
    }
    expect(await ending()).toEqual(WHOLE);
  });

  it('the agent is killed, and its follower takes its time to let go: the next one follows once it has', async () => {
    const root = await scope.attach(program.pid, '--capture', 'fs', '--children');
    await goesOn();
    const follower = tracerPid(program.pid);
    process.kill(follower, 'SIGSTOP');
    scope.agent.signal('SIGKILL');
    await scope.agent.finish();
    await scope.launchAgent();
    expect(tracerPid(program.pid)).toBe(follower);
    process.kill(follower, 'SIGCONT');
    await until('the next agent to follow it', () => ![0, follower].includes(tracerPid(program.pid)));
    await until('it to be ready', () => scope.ask('GET', '/readyz'));
    expect(await scope.session(root.id)).toMatchObject({state: 'Scoped', children: true});
    await goesOn();
    await scope.detach(program.pid);
    expect(await ending()).toEqual(WHOLE);
  });

  it('the agent is killed again and again, and nobody is harmed', async () => {
    await scope.attach(program.pid, '--capture', 'fs', '--children');
    for (let round = 0; round < ROUNDS; round += 1) {
      await goesOn();
      scope.agent.signal('SIGKILL');
      await scope.agent.finish();
      await until('nobody traces it', () => tracerPid(program.pid) === 0);
      await goesOn();
      await scope.startAgent();
      await until('the next agent to follow it', () => tracerPid(program.pid) !== 0);
    }
    await goesOn();
    await scope.detach(program.pid);
    expect(tracerPid(program.pid)).toBe(0);
    expect(await ending()).toEqual(WHOLE);
  });
});
