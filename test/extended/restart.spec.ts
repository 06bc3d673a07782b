// An agent that dies without a word, and the next one: sessions go on, the process is not touched for that, and what the
// events tell, before and after, plus what is said to be lost is what the program did, to the byte.
import {existsSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {open} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import type {SessionView} from '@scope/attach';
import {product} from '../support/checkout';
import {startHttpLoad} from '../support/http-load';
import {injected} from '../support/injector';
import {footprint, faultsSince, isPatched} from '../support/intact';
import {ledgerOf} from '../support/ledger';
import {io, maps} from '../support/proc';
import type {Program} from '../support/program';
import {run} from '../support/program';
import {startRedisLoad} from '../support/redis-load';
import {Scope, carriedBy, ofKind} from '../support/scope';
import {startNginx, startRedis, startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

/** Offsets in struct scope_shared (native/abi/scope_abi.h). */
const ABI_VERSION_AT = 8;
const BUILD_AT = 288;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** Sudden death, and the next agent some time later. Sums are not held against the agents' manner of death. */
async function restart(scope: Scope, awayMs = 0): Promise<void> {
  const {agent} = scope;
  agent.signal('SIGKILL');
  await agent.finish();
  await sleep(awayMs);
  await scope.startAgent();
}

/** Bytes read and written by what a session's events tell, and by what they say is lost. */
function bytesOf(events: readonly ScopeEvent[]): {read: number; written: number} {
  const closes = events.filter(ofKind('fs.close', 'net.close'));
  const lost = (...names: readonly string[]): number =>
    events.reduce((total, event) => names.reduce((all, name) => all + (event.lost?.[name] ?? 0), total), 0);
  return {
    read: carriedBy(closes).read + lost('readBytes', 'recvBytes', 'transferBytes', 'untoldReadBytes'),
    written: carriedBy(closes).written + lost('writeBytes', 'sendBytes', 'transferBytes', 'untoldWriteBytes'),
  };
}

const gaps = (events: readonly ScopeEvent[]): ScopeEvent[] => events.filter(ofKind('scope.lost'));

/** Every byte of the program's code as it is in memory, with what was patched into it. */
async function codeOf(pid: number): Promise<string[]> {
  const memory = await open(`/proc/${pid}/mem`, 'r');
  try {
    const code = maps(pid).filter(({permissions, path}) => permissions.includes('x') && path !== '[vsyscall]');
    return await Promise.all(
      code.map(async ({start, end, path}) => {
        const bytes = Buffer.alloc(Number(end - start));
        await memory.read(bytes, 0, bytes.length, Number(start));
        return `${start.toString(16)} ${path} ${bytes.toString('base64')}`;
      }),
    );
  } finally {
    await memory.close();
  }
}

/** An agent that has ended in order takes the empty folder along. */
function filesOfJournal(scope: Scope): string[] {
  const folder = `${scope.socket}.d/sessions`;
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/** Changes words of the memory that a scope shares with us, as another version would have written them. */
async function rewrite(pid: number, offset: number, bytes: Buffer): Promise<void> {
  const ring = maps(pid).find(({path, permissions}) => path.includes('memfd:scope-ring') && permissions === 'rw-s');
  if (ring === undefined) throw new Error(`process ${pid} has no ring`);
  const file = await open(`/proc/${pid}/map_files/${ring.start.toString(16)}-${ring.end.toString(16)}`, 'r+');
  await file.write(bytes, 0, bytes.length, offset);
  await file.close();
}

describe('a program that moves bytes by every call', () => {
  /** Attaches at rest, and gives a function that ends the work and the session and says what is not as it was. */
  async function begin(
    families: string,
    restUs: number,
  ): Promise<{
    scope: Scope;
    program: Program;
    session: SessionView;
    ask: (command: string, word: string) => Promise<string>;
    end: () => Promise<SessionView>;
  }> {
    const folder = stage.folder();
    const {program} = await startTester(stage, 'ledger.c', {args: [families, '1', folder, String(restUs)]});
    const scope = await Scope.open(stage);
    const before = footprint(program.pid);
    const from = ledgerOf(await program.ask('ledger', 'ledger'));
    const session = await scope.begin(program.pid, {fs: {}, net: {}});
    // Its words with us are among what it has read and written.
    const talk = {read: 0, written: 0};
    const ask = async (command: string, word: string): Promise<string> => {
      const said = await program.ask(command, word, 60_000);
      talk.read += `${command}\n`.length;
      talk.written += `${[word, said].join(' ').trimEnd()}\n`.length;
      return said;
    };
    await ask('run', 'running');
    const end = async (): Promise<SessionView> => {
      const to = ledgerOf(await ask('pause', 'paused'));
      const ended = await scope.end(session);
      const moved = {...talk};
      for (const [family, {read, written}] of Object.entries(to.moved)) {
        moved.read += read - from.moved[family as keyof typeof from.moved].read;
        moved.written += written - from.moved[family as keyof typeof from.moved].written;
      }
      const events = scope.events(session);
      expect(bytesOf(events)).toEqual(moved);
      expect(ended.counts.delivered).toBe(events.length);
      expect(filesOfJournal(scope)).toEqual([]);
      expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
      program.assertAlive();
      process.stderr.write(
        `restart, measured: ${moved.read + moved.written} bytes, lost ${JSON.stringify(ended.counts.losses ?? {})}\n`,
      );
      return ended;
    };
    return {scope, program, session, ask, end};
  }

  it('whose agent dies six times: every byte is told or counted, none twice', async () => {
    const {scope, program, session, end} = await begin('pipe,unix,tcp,udp,file,call', 200);
    for (let time = 0; time < 6; time += 1) {
      await sleep(150 + 40 * time);
      await restart(scope, 20 * time);
      expect(await scope.session(session.id)).toMatchObject({id: session.id, state: 'Scoped', pid: program.pid});
    }
    const ended = await end();
    expect(ended).toMatchObject({state: 'Detached', createdAt: session.createdAt, history: session.history});
    const told = gaps(scope.events(session));
    expect(told).toHaveLength(6);
    for (const {time, attributes} of told) {
      expect(attributes).toMatchObject({'scope.lost.where': 'agent'});
      expect(Date.parse(time) - Date.parse(String(attributes['scope.lost.since']))).toBeGreaterThan(0);
      expect(attributes['scope.lost.exact']).toBeUndefined();
    }
  });

  it('whose agent is away until the rings are full: what found no room is counted, to the byte', async () => {
    const {scope, session, end} = await begin('pipe,unix,tcp,udp', 0);
    await sleep(200);
    await restart(scope, 2500);
    const {losses} = (await end()).counts;
    expect(losses?.records).toBeGreaterThan(1000);
    const [gap] = gaps(scope.events(session));
    expect(gap?.lost?.records).toBeGreaterThan(1000);
    expect(gap?.attributes['scope.lost.duration']).toBeGreaterThan(2.5);
  });

  it('whose scope another build made: that is read to its end, then replaced', async () => {
    const {scope, program, session, ask, end} = await begin('pipe,unix,tcp,udp,file,call', 200);
    await sleep(100);
    const memory = (): Set<string> =>
      new Set(maps(program.pid).flatMap(({path, inode}) => (path.includes('memfd:scope-ring') ? [inode] : [])));
    const old = memory();
    await ask('pause', 'paused');
    await rewrite(program.pid, BUILD_AT, Buffer.alloc(8, 1));
    await restart(scope);
    await ask('run', 'running');
    expect((await scope.session(session.id)).state).toBe('Scoped');
    expect([...memory()].filter(inode => old.has(inode))).toEqual([]);
    await sleep(100);
    await end();
    expect(scope.events(session).filter(ofKind('process.scoped'))).toHaveLength(2);
  });
});

describe('servers under load whose agent dies three times', () => {
  it('nginx: no error, no byte of its connections untold', async () => {
    const {program, port, echoes} = await startNginx(stage, {accessLog: false});
    const scope = await Scope.open(stage);
    const load = stage.use(startHttpLoad({port, echoes}, {lanes: 2}));
    await until('the first answers', () => load.done > 50);
    await load.pause();
    const from = load.bytes();
    const session = await scope.begin(program.pid, {net: {}, http: {}});
    const code = await codeOf(program.pid);
    load.resume();
    for (let time = 0; time < 3; time += 1) {
      await sleep(250);
      await restart(scope);
      expect(await codeOf(program.pid)).toEqual(code);
    }
    const {done} = load;
    await until('answers after that', () => load.done > done + 100);
    await load.pause();
    const to = load.bytes();
    const {losses = {}} = (await scope.end(session)).counts;
    const events = scope.events(session);
    const seen = bytesOf(events);
    // It reads its files by pread: what a full ring did not take of that is in the sum of what was read.
    expect(seen.read - (losses.readBytes ?? 0)).toBe(to.written - from.written);
    expect(seen.written).toBe(to.read - from.read);
    expect(events.filter(ofKind('http.exchange')).length).toBeGreaterThan(100);
    expect(gaps(events)).toHaveLength(3);
    expect(load.errors).toEqual([]);
    expect(isPatched(program.pid)).toBe(false);
  });

  it('redis: no error, no byte of its connections untold', async () => {
    const {program, port} = await startRedis(stage);
    const scope = await Scope.open(stage);
    const load = stage.use(startRedisLoad(port, 2));
    await until('the first answers', () => load.done > 20);
    await load.pause();
    const [from, before] = [load.bytes(), io(program.pid)];
    const session = await scope.begin(program.pid, {fs: {}, net: {}});
    load.resume();
    for (let time = 0; time < 3; time += 1) {
      await sleep(250);
      await restart(scope);
    }
    await load.pause();
    const to = load.bytes();
    await scope.end(session);
    const {read, written} = bytesOf(scope.events(session));
    // Once a second it also reads about itself in /proc.
    expect(read).toBeGreaterThanOrEqual(to.written - from.written);
    expect(read).toBeLessThanOrEqual(io(program.pid).rchar - before.rchar);
    expect(written).toBe(to.read - from.read);
    expect(load.errors).toEqual([]);
  });
});

describe('what a dead agent left', () => {
  /** A scoped program whose agent is dead. */
  async function orphan(): Promise<{scope: Scope; program: Program; session: SessionView}> {
    const {program} = await startTester(stage, 'ledger.c', {args: ['pipe,tcp', '1', stage.folder(), '200']});
    const scope = await Scope.open(stage);
    const session = await scope.begin(program.pid, {fs: {}, net: {}});
    await program.ask('run', 'running');
    await sleep(100);
    scope.agent.signal('SIGKILL');
    await scope.agent.finish();
    return {scope, program, session};
  }

  const journalOf = (scope: Scope, name: string): string => join(`${scope.socket}.d/sessions`, name);

  it('is adopted without stopping the process, and without writing into it', async () => {
    const {scope, program, session} = await orphan();
    const code = await codeOf(program.pid);
    const log = join(stage.folder(), 'strace');
    const args = ['-f', '-o', log, product.injector(), 'adopt', '--pid', String(program.pid)];
    expect(await run('strace', args, {timeoutMs: 60_000})).toMatchObject({code: 0});
    const calls = readFileSync(log, 'utf8');
    expect(calls).toContain('/map_files/');
    const acts = calls.match(/\b(ptrace|p?writev?(64)?|process_vm_writev|t?g?kill|pidfd_\w+)\([^\n]*/g) ?? [];
    expect(acts.filter(call => !/^write\([12], /.test(call))).toEqual([]);
    expect(await codeOf(program.pid)).toEqual(code);
    await scope.startAgent();
    expect(await codeOf(program.pid)).toEqual(code);
    expect((await scope.end(session)).state).toBe('Detached');
    expect(isPatched(program.pid)).toBe(false);
  });

  it('is taken back by the agent that the next command starts', async () => {
    const {program} = await startTester(stage, 'ledger.c', {args: ['pipe', '1', stage.folder(), '200']});
    const other = await startTester(stage, 'ledger.c', {args: ['pipe', '1', stage.folder(), '200']});
    const scope = await Scope.open(stage, {agent: 'on demand'});
    const session = await scope.attach(program.pid);
    const pid = await scope.agentPid();
    if (pid === undefined) throw new Error('there is no agent');
    process.kill(pid, 'SIGKILL');
    await until('its end', async () => (await scope.agentPid()) === undefined);
    await scope.attach(other.program.pid);
    const listed = await scope.command(['ps', '-o', 'json']);
    expect(listed.stdout).toContain(session.id);
    expect(await scope.detach(program.pid)).toMatchObject({
      id: session.id,
      state: 'Detached',
      history: session.history,
    });
    expect(gaps(scope.events(session))).toHaveLength(1);
    await scope.detach(other.program.pid);
  });

  it('is taken back while the next agent answers already; what asks for sessions waits for that', async () => {
    const {scope, program, session} = await orphan();
    const [gate, injector] = [join(stage.folder(), 'gate'), join(stage.folder(), 'slow-inject')];
    const wait = `#!/bin/sh\nuntil [ -e ${gate} ]; do sleep 0.05; done\nexec ${product.injector()} "$@"\n`;
    writeFileSync(injector, wait, {mode: 0o755});
    const agent = await scope.launchAgent(['--injector', injector]);
    expect(await scope.agentPid()).toBe(agent.pid);
    await expect(scope.ask('GET', '/readyz')).rejects.toThrow('starting');
    const answers: string[] = [];
    const view = scope.session(session.id).then(({state}) => answers.push(`session ${state}`));
    const attach = scope.begin(program.pid, {fs: {}}).catch((thrown: unknown) => answers.push(String(thrown)));
    await sleep(300);
    expect(answers).toEqual([]);
    writeFileSync(gate, '');
    await Promise.all([view, attach]);
    expect(answers.sort()).toEqual([expect.stringContaining('AlreadyScoped'), 'session Scoped']);
    await until('it to be ready', () => scope.ask('GET', '/readyz'));
    expect((await scope.end(session)).state).toBe('Detached');
  });

  it('is taken back by an agent that is told to end meanwhile, which then ends in order', async () => {
    const {scope, program, session} = await orphan();
    const injector = join(stage.folder(), 'slow-inject');
    writeFileSync(injector, `#!/bin/sh\nsleep 0.5\nexec ${product.injector()} "$@"\n`, {mode: 0o755});
    const agent = await scope.launchAgent(['--injector', injector]);
    agent.signal('SIGTERM');
    expect(await agent.finish()).toEqual({code: 0, signal: null});
    expect(isPatched(program.pid)).toBe(false);
    expect(gaps(scope.events(session))).toHaveLength(1);
    expect(filesOfJournal(scope)).toEqual([]);
  });

  it('in a process that has ended ends its session: its history says how', async () => {
    const {scope, program, session} = await orphan();
    await program.ask('quit', 'paused');
    await program.finish();
    await scope.startAgent();
    expect(await scope.session(session.id)).toMatchObject({state: 'Exited'});
    const [gap, end] = scope.events(session).slice(-2);
    expect(gap).toMatchObject({
      event: 'scope.lost',
      attributes: {'scope.lost.exact': false, 'scope.reason': 'ProcessExited'},
    });
    expect(end).toMatchObject({event: 'process.unscoped', attributes: {'scope.reason': 'Exited'}});
    expect(filesOfJournal(scope)).toEqual([]);
  });

  it('under a number that is another process’s by now is never touched', async () => {
    const {scope, program, session} = await orphan();
    const {pid} = program;
    const [file] = filesOfJournal(scope).filter(name => name.endsWith('.json'));
    if (file === undefined) throw new Error('the journal is empty');
    // As if the process had another start time than the one that was scoped.
    const entry = JSON.parse(readFileSync(journalOf(scope, file), 'utf8')) as object;
    const foreign = `${pid}-1.json`;
    writeFileSync(journalOf(scope, foreign), JSON.stringify({...entry, startTime: '1'}));
    rmSync(journalOf(scope, file));
    const code = await codeOf(pid);
    await scope.startAgent();
    expect((await scope.session(session.id)).state).toBe('Exited');
    expect(existsSync(journalOf(scope, foreign))).toBe(false);
    expect(await codeOf(pid)).toEqual(code);
    await injected('detach', pid);
    expect(isPatched(pid)).toBe(false);
  });

  it('in another layout is replaced, which is told', async () => {
    const {scope, program, session} = await orphan();
    const other = Buffer.alloc(4);
    other.writeUInt32LE(99);
    await rewrite(program.pid, ABI_VERSION_AT, other);
    await scope.startAgent();
    expect((await scope.session(session.id)).state).toBe('Scoped');
    await sleep(100);
    expect((await scope.end(session)).state).toBe('Detached');
    const events = scope.events(session);
    expect(gaps(events)).toMatchObject([{attributes: {'scope.lost.exact': false, 'scope.reason': 'ABIMismatch'}}]);
    expect(events.filter(ofKind('process.scoped'))).toHaveLength(2);
    expect(isPatched(program.pid)).toBe(false);
    await program.ask('quit', 'paused');
  });
});
