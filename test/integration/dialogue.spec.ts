// What a person sees: the words of the command, with and without a terminal, and an agent that comes and goes by itself.
import {existsSync, mkdirSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {product} from '../support/checkout';
import {statusField} from '../support/proc';
import {Program} from '../support/program';
import {Scope} from '../support/scope';
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

/** Processes that bear one name, which nobody else bears; the lowest pid first. */
async function bearers(count: number): Promise<{name: string; programs: Program[]}> {
  const folder = stage.folder();
  const name = `many-${process.pid}`;
  const programs: Program[] = [];
  for (let i = 0; i < count; i++) {
    const cwd = join(folder, String(i));
    mkdirSync(cwd);
    const program = stage.use(await Program.start('/bin/sleep', {args: ['600'], cwd, name}));
    await until('its name', () => statusField(`/proc/${program.pid}`, 'Name') === name);
    programs.push(program);
  }
  return {name, programs: programs.sort((a, b) => a.pid - b.pid)};
}

/** bin/scope on a terminal of its own (script(1)): it sees a keyboard and a screen. */
async function onTerminal(scope: Scope, command: string, before = ''): Promise<Program> {
  const env = {HOME: scope.home, SCOPE_SOCKET: scope.socket, TERM: 'xterm', SHELL: '/bin/sh'};
  const args = ['-qefc', `${before}${product.command()} ${command}`, '/dev/null'];
  return stage.use(await Program.start('script', {args, env}));
}

async function nextLine(program: Program): Promise<string> {
  return (await program.line()).replace(/\u001b\[[0-9;?]*[A-Za-z]|\r/g, '').trimEnd();
}

it('a name that three bear, on a terminal: asks which, and attaches to the one selected', async () => {
  const {name, programs} = await bearers(3);
  const scope = await Scope.open(stage);
  const terminal = await onTerminal(scope, `attach ${name}`);
  expect(await nextLine(terminal)).toBe('Found multiple processes matching that name...');
  expect(await nextLine(terminal)).toMatch(/^ID\s+PID\s+USER\s+SCOPED\s+COMMAND$/);
  for (const [index, {pid}] of programs.entries()) {
    expect(await nextLine(terminal)).toMatch(new RegExp(`^${index + 1}\\s+${pid}\\s+root\\s+false\\s+.*${name} 600$`));
  }
  expect(await nextLine(terminal)).toBe('Select an ID from the list:');
  terminal.send('2');
  const chosen = programs[1]?.pid ?? 0;
  const said: string[] = [];
  await until('the attach', async () => {
    said.push(await nextLine(terminal));
    return said.at(-1)?.startsWith('Scoped') === true;
  });
  expect(said).toContain(`WARNING: Session history will be stored in ${scope.history} and owned by root`);
  expect(said).toContain(`Attaching to process ${chosen}`);
  await terminal.finish();
  expect(terminal.exit).toMatchObject({code: 0});

  const list = await scope.command(['attach', name]);
  expect(list.stderr).toMatch(new RegExp(`${chosen}\\s+root\\s+true`));
  await scope.detach(chosen);
});

it('one that does not exist is no choice', async () => {
  const {name} = await bearers(2);
  const scope = await Scope.open(stage);
  const terminal = await onTerminal(scope, `attach ${name}`);
  while ((await nextLine(terminal)) !== 'Select an ID from the list:');
  terminal.send('7');
  await terminal.finish();
  expect(terminal.exit).toMatchObject({code: 2});
});

it('the first attach starts the agent, behind a socket of root’s; it ends after its last session', async () => {
  const {program} = await startTester(stage, 'gap.c');
  const scope = await Scope.open(stage, {agent: 'on demand'});
  expect(await scope.agentPid()).toBeUndefined();
  const {code, stdout, stderr} = await scope.command(['attach', String(program.pid)]);
  expect({code, stderr}).toMatchObject({code: 0});
  expect(stdout.split('\n').slice(0, 2)).toEqual([
    `WARNING: Session history will be stored in ${scope.history} and owned by root`,
    `Attaching to process ${program.pid}`,
  ]);
  const agent = await scope.agentPid();
  expect(agent).toBeGreaterThan(0);
  expect(statSync(scope.socket).mode & 0o777).toBe(0o600);

  const ps = await scope.command(['ps', '--scoped']);
  expect(ps.stdout).toMatch(new RegExp(`\\b${program.pid}\\b`));
  const detached = await scope.command(['detach', String(program.pid)]);
  expect(detached.code).toBe(0);
  await until('the agent to end by itself', () => !existsSync(`/proc/${agent}`));
  const history = await scope.command(['history']);
  expect(history.stdout).toMatch(/Detached/);
});

it('history: one folder per session, root’s alone, with the session and its events', async () => {
  const {program} = await startTester(stage, 'churn.c');
  const scope = await Scope.open(stage);
  const session = await scope.attach(program.pid);
  await until('events', async () => (await scope.session(session.id)).counts.delivered > 100);
  await scope.detach(program.pid);
  const folder = join(scope.history, session.id);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  const view = JSON.parse(readFileSync(join(folder, 'session.json'), 'utf8')) as {
    state: string;
    pid: number;
    counts: {delivered: number; dropped: Readonly<Record<string, number>>};
  };
  expect(view).toMatchObject({state: 'Detached', pid: program.pid});
  // However fast they come, the decoder waits for the disk, and the target for neither. Only a disk that takes nothing for
  // two seconds has events dropped: then they are counted, to the last one.
  const {delivered, dropped} = view.counts;
  expect(Object.keys(dropped).filter(sink => sink !== 'history')).toEqual([]);
  expect(scope.events(session)).toHaveLength(delivered - (dropped.history ?? 0));
  const last = await scope.command(['events', '--last', '5', '-o', 'json']);
  expect(last.stdout.trim().split('\n')).toHaveLength(5);
});

it('events -f tells what happens while it happens', async () => {
  const {program} = await startTester(stage, 'families.c', {args: [stage.folder()]});
  const scope = await Scope.open(stage);
  await scope.attach(program.pid);
  const env = {HOME: scope.home, SCOPE_SOCKET: scope.socket};
  const live = stage.use(
    await Program.start(product.command(), {
      args: [
        'events',
        '-f',
        '--last',
        '1',
        '--pid',
        `${program.pid}`,
        '--event',
        'process.scoped,fs.open',
        '-o',
        'json',
      ],
      env,
    }),
  );
  const next = async (): Promise<unknown> => JSON.parse(await live.line());
  // The past one: from there on it follows.
  expect(await next()).toMatchObject({event: 'process.scoped', process: {pid: program.pid}});
  program.send('go');
  expect(await next()).toMatchObject({event: 'fs.open', process: {pid: program.pid}});
  live.signal('SIGINT');
  await live.finish();
});

describe('for the eye and for the pipe', () => {
  /** What the command writes to a terminal of that width, without the trailing carriage returns. */
  async function onScreen(scope: Scope, columns: number, command: string): Promise<string[]> {
    const terminal = await onTerminal(scope, command, `stty cols ${columns};`);
    const lines: string[] = [];
    await terminal.finish();
    for (;;) {
      try {
        lines.push(await nextLine(terminal));
      } catch {
        return lines;
      }
    }
  }

  it('ps is cut at the width of a terminal, and full in a pipe', async () => {
    const name = 'x'.repeat(200);
    const program = stage.use(
      await Program.start('/bin/sh', {args: ['-c', 'read line; true', name], cwd: stage.folder()}),
    );
    const scope = await Scope.open(stage);
    const screen = await onScreen(scope, 60, 'ps');
    expect(screen.length).toBeGreaterThan(2);
    expect(Math.max(...screen.map(line => line.length))).toBe(60);
    expect(screen.find(line => line.startsWith(`${program.pid} `))).toMatch(/…$/);
    const piped = await scope.command(['ps']);
    expect(piped.stdout).toMatch(new RegExp(`^${program.pid} .*${name}$`, 'm'));
  });

  it('inspect is a head and a line per call; -o json is all that there is', async () => {
    const {program, name} = await startTester(stage, 'gap.c');
    const scope = await Scope.open(stage);
    await scope.attach(program.pid);
    const {stdout} = await scope.command(['inspect', String(program.pid)]);
    expect(stdout).toMatch(new RegExp(`^Process +${name} \\(${program.pid}\\), `));
    expect(stdout).toMatch(/^State +scoped as \S+ by cli/m);
    expect(stdout).toMatch(/^C library +glibc \d+\.\d+ \(\/.*libc/m);
    expect(stdout).toMatch(/^Threads +\d+$/m);
    expect(stdout).toMatch(/^Call sites +\d+ hooked of \d+/m);
    expect(stdout).toMatch(/^CALL +HOOKED +WHY NOT$/m);
    expect(stdout).toMatch(/^read +yes$/m);
    const json = await scope.command(['inspect', String(program.pid), '-o', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      scoped: true,
      calls: {hooked: expect.arrayContaining(['read']) as object},
    });
    await scope.detach(program.pid);
  });

  it.each([
    [['atach', '1'], 2, /unknown command 'atach'\n\(Did you mean attach\?\)/],
    [['events', '--folow'], 2, /unknown option '--folow'\n\(Did you mean --follow\?\)/],
    [['events', '--pid', 'nginx'], 2, /--pid takes a PID, not: nginx/],
    [['events', '-e', 'http'], 2, /Did you mean http\.\*\?/],
    [['attach', '1', '--capture', 'htpp'], 2, /Did you mean http\?/],
    [['history', 'shwo'], 2, /Did you mean show\?/],
    [['ps', '-o', 'wde'], 2, /Did you mean wide\?/],
  ])('%p is told what was meant', async (args, code, says) => {
    const scope = await Scope.open(stage, {agent: 'on demand'});
    const result = await scope.command(args);
    expect(result).toMatchObject({code, stdout: ''});
    expect(result.stderr).toMatch(/^scope: /);
    expect(result.stderr).toMatch(says);
  });
});
