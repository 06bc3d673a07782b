// What others counted of the same program is what its events say, to the last byte: redis's own INFO, nginx's own log, the
// ledger of a tester. With rings too small on purpose, it is what the events say and what `lost` says.
import {readFileSync} from 'node:fs';
import {request} from 'node:http';
import type {Socket} from 'node:net';
import {connect} from 'node:net';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import type {SessionView} from '@scope/attach';
import {startHttpLoad} from '../support/http-load';
import {faultsSince, footprint} from '../support/intact';
import type {Family} from '../support/ledger';
import {FAMILIES, ledgerOf} from '../support/ledger';
import {statusField} from '../support/proc';
import {startRedisLoad} from '../support/redis-load';
import {Scope, carriedBy, ofKind, sum} from '../support/scope';
import {startNginx, startRedis, startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** Over all events: what each `lost` says. */
function lostOf(events: readonly ScopeEvent[]): Readonly<Record<string, number>> {
  const total: Record<string, number> = {};
  for (const {lost = {}} of events) {
    for (const [what, count] of Object.entries(lost)) total[what] = (total[what] ?? 0) + count;
  }
  return total;
}

const sumOf = (counts: Readonly<Record<string, number>>, ...names: readonly string[]): number =>
  names.reduce((total, name) => total + (counts[name] ?? 0), 0);

/** Bytes that the events tell of these descriptors, with those that they say are lost. */
const toldAndLost = (closes: readonly ScopeEvent[], lost: Readonly<Record<string, number>>): object => ({
  read: carriedBy(closes).read + sumOf(lost, 'readBytes', 'recvBytes', 'transferBytes', 'untoldReadBytes'),
  written: carriedBy(closes).written + sumOf(lost, 'writeBytes', 'sendBytes', 'transferBytes', 'untoldWriteBytes'),
});

/** What the session's end and the agent's metrics say is lost is what its events said, by kind, and the process is whole. */
async function expectTold(scope: Scope, ended: SessionView, events: readonly ScopeEvent[]): Promise<void> {
  const lost = lostOf(events);
  expect(lost).toEqual(ended.counts.losses ?? {});
  expect(lost.records ?? 0).toBe(ended.counts.lost);
  expect(events).toHaveLength(ended.counts.delivered);
  const {stdout} = await scope.command(['metrics', 'scope_records_lost_total']);
  expect(stdout).toContain(`scope_records_lost_total{reason="ring"} ${ended.counts.lost}`);
}

describe('redis, by INFO', () => {
  interface Info {
    readonly figures: ReadonlyMap<string, number>;
    readonly requestBytes: number;
    readonly answerBytes: number;
  }

  /** INFO stats: a request of its own is among the bytes that it says were read; its answer and itself are in no figure yet. */
  async function ask(socket: Socket): Promise<Info> {
    const command = '*2\r\n$4\r\nINFO\r\n$5\r\nstats\r\n';
    const text = await new Promise<string>((resolve, reject) => {
      let said = '';
      socket.on('error', reject).on('data', (part: Buffer) => {
        said += part.toString('latin1');
        const head = /^\$(\d+)\r\n/.exec(said);
        if (head === null || said.length < head[0].length + Number(head[1]) + 2) return;
        socket.removeAllListeners('data');
        resolve(said);
      });
      socket.write(command);
    });
    const figures = [...text.matchAll(/^(\w+):(\d+)\r$/gm)].map(
      ([, name = '', value]) => [name, Number(value)] as const,
    );
    return {figures: new Map(figures), requestBytes: command.length, answerBytes: text.length};
  }

  it('its commands, connections, reads and bytes are those of the events', async () => {
    const {program, port} = await startRedis(stage);
    const scope = await Scope.open(stage);
    const before = footprint(program.pid);
    const socket = connect({port, host: '127.0.0.1', noDelay: true});
    stage.defer('the connection', () => {
      socket.destroy();
    });
    const first = await ask(socket);
    await sleep(100); // Its answer is counted by now.
    await scope.attach(program.pid);
    const load = stage.use(startRedisLoad(port, 4));
    await until('some hundred answers', () => load.done > 400);
    await load.close();
    // Each of the four connections ends by a read of nothing.
    await until('its side to close', async () => {
      const events = scope.events(await scope.session((await sessionOf(scope, program.pid)).id));
      return events.filter(ofKind('net.close')).length >= 4;
    });
    const second = await ask(socket);
    await sleep(100);
    const ended = await scope.detach(program.pid);
    const events = scope.events(ended);
    await expectTold(scope, ended, events);

    const grown = (name: string): number => (second.figures.get(name) ?? Number.NaN) - (first.figures.get(name) ?? 0);
    const sockets = events.filter(ofKind('net.close'));
    expect({
      connections: events.filter(ofKind('net.open')).length,
      readCalls: sum(sockets, 'scope.net.receive.calls'),
      read: sum(sockets, 'scope.net.receive.bytes'),
      written: sum(sockets, 'scope.net.transmit.bytes'),
    }).toEqual({
      connections: grown('total_connections_received'),
      readCalls: grown('total_reads_processed'),
      read: grown('total_net_input_bytes'),
      // The first answer was written before the attach, and the second is in no figure.
      written: grown('total_net_output_bytes') - first.answerBytes + second.answerBytes,
    });
    // No event tells commands: the client's own count, with the first INFO, is what redis counted of the same.
    expect(grown('total_commands_processed')).toBe(2 * load.done + 1);
    const bytes = load.bytes();
    expect(sum(sockets, 'scope.net.receive.bytes')).toBe(bytes.written + second.requestBytes);
    expect(sum(sockets, 'scope.net.transmit.bytes')).toBe(bytes.read + second.answerBytes);
    expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
  });

  async function sessionOf(scope: Scope, pid: number): Promise<SessionView> {
    const {sessions} = (await scope.ask<{sessions: SessionView[]}>('GET', '/v1/sessions')).body;
    const found = sessions.find(session => session.pid === pid);
    if (found === undefined) throw new Error(`process ${pid} has no session`);
    return found;
  }
});

describe('nginx, by its log', () => {
  interface Wish {
    readonly method: string;
    readonly path: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
  }

  /** Kinds of answers that a load does not ask for. */
  const WISHES: readonly Wish[] = [
    {method: 'GET', path: '/hello'},
    {method: 'GET', path: '/hello?id=7&name=a%20b'},
    {method: 'HEAD', path: '/hello'},
    {method: 'GET', path: '/missing'},
    {method: 'HEAD', path: '/missing?x'},
    {method: 'POST', path: '/file-1500', body: 'refused: 405'},
    {method: 'PUT', path: '/hello', body: ''},
    {method: 'DELETE', path: '/missing'},
    {method: 'GET', path: '/file-20000', headers: {range: 'bytes=100-299'}},
    {method: 'GET', path: '/file-20000', headers: {range: 'bytes=0-0,5-9'}},
    {method: 'GET', path: '/file-97', headers: {range: 'bytes=1000-'}},
    {method: 'GET', path: '/file-97', headers: {'if-modified-since': 'Thu, 31 Dec 2099 23:59:59 GMT'}},
    {method: 'GET', path: '/%7Euser/%C3%A4'},
    {method: 'GET', path: '/file-300000', headers: {connection: 'close'}},
    {method: 'PROPFIND', path: '/'},
    {method: 'BREW', path: '/tea'},
  ];

  const grant = (port: number, {method, path, headers, body}: Wish): Promise<void> =>
    new Promise((resolve, reject) => {
      const options = {host: '127.0.0.1', port, agent: false as const, method, path, headers: {...headers}};
      const outgoing = request(options, response => {
        response.resume().on('end', resolve).on('error', reject);
      });
      outgoing.on('error', reject).end(body);
    });

  /** "GET /hello 200 6": method, target, status, bytes of the body that were sent. */
  const logged = (line: string): string =>
    /^\S+ - \S+ \[[^\]]*\] "(\S+ \S+) HTTP\/1\.[01]" (\d+ \d+) /.exec(line)?.slice(1, 3).join(' ') ?? `? ${line}`;

  const told = ({attributes}: ScopeEvent): string => {
    const {'url.path': path, 'url.query': query, 'http.request.method': method} = attributes;
    const target = query === undefined ? path : `${String(path)}?${String(query)}`;
    return [
      method === '_OTHER' ? attributes['http.request.method_original'] : method,
      target,
      attributes['http.response.status_code'],
      attributes['http.response.body.size'],
    ].join(' ');
  };

  it.each([false, true])('each line of it is an exchange, and each exchange a line; sendfile: %s', async sendfile => {
    const server = await startNginx(stage, {sendfile});
    const log = join(server.folder, 'access.log');
    const scope = await Scope.open(stage);
    const load = stage.use(startHttpLoad(server, {lanes: 4}));
    await until('the first answers', () => load.done > 50);
    await load.pause();
    await sleep(100);
    const [from, answered] = [readFileSync(log, 'latin1').length, load.done];
    await scope.attach(server.program.pid);
    load.resume();
    for (const wish of WISHES) await grant(server.port, wish);
    await until('some hundred answers', () => load.done > answered + 400);
    await load.pause();
    await sleep(100);
    const lines = readFileSync(log, 'latin1').slice(from).trimEnd().split('\n');
    const ended = await scope.detach(server.program.pid);
    const events = scope.events(ended);
    await expectTold(scope, ended, events);
    expect(ended.counts.lost).toBe(0);
    const exchanges = events.filter(ofKind('http.exchange')).map(told);
    expect(lines.length).toBeGreaterThan(400 + WISHES.length);
    expect(exchanges.sort()).toEqual(lines.map(logged).sort());
    expect(load.errors).toEqual([]);
  });
});

/** The least that the injector takes: it holds four records with a page of data each. */
const TOO_SMALL = ['--ring-bytes', '65536'];
/** A tester's ledger and the commands, in one session. */
const WORDS_BYTES = 400;
const WORK_MS = 700;
/** Longer than any ring lasts. */
const AWAY_MS = 300;

/** The agent stands still for a while, with all that it holds. */
async function suspend({agent}: Scope): Promise<void> {
  agent.signal('SIGSTOP');
  await until('the stop', () => statusField(`/proc/${agent.pid}`, 'State').startsWith('T'));
  await sleep(AWAY_MS);
  agent.signal('SIGCONT');
}

describe.each([
  ['an agent that reads on', undefined],
  ['an agent that stands still for a while', suspend],
] as const)('rings too small, %s', (_, disturb) => {
  const work = async (scope: Scope): Promise<void> => {
    await sleep(WORK_MS / 2);
    await disturb?.(scope);
    await sleep(WORK_MS / 2);
  };
  const measured = (what: string, moved: object, lost: object): void => {
    process.stderr.write(`rings too small, ${what}: ${JSON.stringify(moved)}, lost ${JSON.stringify(lost)}\n`);
  };

  const sockets: readonly Family[] = ['unix', 'tcp', 'udp', 'call'];
  const rounds: readonly (readonly [string, readonly Family[]])[] = [
    ...FAMILIES.map(family => [family, [family]] as const),
    ['all of them', FAMILIES],
  ];
  it.each(rounds)('what the tester moved by %s is what the events say and what is lost', async (_name, families) => {
    const args = [families.join(','), '2', stage.folder(), '0'];
    const {program} = await startTester(stage, 'ledger.c', {args});
    const scope = await Scope.open(stage, {agentArgs: TOO_SMALL});
    const before = footprint(program.pid);
    const from = ledgerOf(await program.ask('pause', 'paused', 60_000));
    const session = await scope.begin(program.pid, {fs: {}, net: {}});
    // Its words with us are among what it has read and written, and among what is lost.
    const moved = {read: 0, written: 0};
    const ask = async (command: string, word: string): Promise<string> => {
      const said = await program.ask(command, word, 60_000);
      moved.read += `${command}\n`.length;
      moved.written += `${[word, said].join(' ').trimEnd()}\n`.length;
      return said;
    };
    await ask('run', 'running');
    await work(scope);
    const to = ledgerOf(await ask('pause', 'paused'));
    const ended = await scope.end(session);
    const events = scope.events(session);
    await expectTold(scope, ended, events);
    for (const family of FAMILIES) {
      moved.read += to.moved[family].read - from.moved[family].read;
      moved.written += to.moved[family].written - from.moved[family].written;
    }
    const lost = lostOf(events);
    measured(families.join(', '), moved, lost);
    expect(toldAndLost(events.filter(ofKind('fs.close', 'net.close')), lost)).toEqual(moved);
    if (families.some(family => sockets.includes(family))) {
      expect(ended.counts.lost).toBeGreaterThan(0);
    } else {
      // Files and pipes are counted in place: no ring is too small for them. What can be lost here are opens, closes and
      // sendfile, which have records, and the words, which come by a socket.
      expect(sumOf(lost, 'readBytes', 'writeBytes')).toBeLessThanOrEqual(WORDS_BYTES);
    }
    // Of what was opened, what is told is at most what was.
    const opens = events.filter(ofKind('net.open')).filter(({attributes}) => attributes['scope.net.role'] === 'server');
    expect(opens.length).toBeLessThanOrEqual(to.called - from.called);
    expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
    await program.ask('quit', 'paused', 60_000);
    expect(await program.finish()).toEqual({code: 0, signal: null});
  });

  it('of HTTP no more exchanges are told than there were, and what was not seen is said', async () => {
    const server = await startNginx(stage);
    const {pid} = server.program;
    const scope = await Scope.open(stage, {agentArgs: TOO_SMALL});
    const load = stage.use(startHttpLoad(server, {lanes: 8}));
    await until('the first answers', () => load.done > 50);
    await load.pause();
    await sleep(200);
    const [from, answered] = [load.bytes(), load.done];
    const session = await scope.begin(pid, {net: {}, http: {}});
    load.resume();
    await work(scope);
    await load.pause();
    await sleep(200);
    const [to, answers] = [load.bytes(), load.done - answered];
    const ended = await scope.end(session);
    const events = scope.events(session);
    await expectTold(scope, ended, events);
    const lost = lostOf(events);
    const exchanges = events.filter(ofKind('http.exchange'));
    const whole = exchanges.filter(
      ({attributes}) => attributes['error.type'] === undefined && attributes['scope.partial'] === undefined,
    );
    measured(`nginx: ${answers} answers, ${exchanges.length} exchanges, ${whole.length} whole`, {}, lost);
    expect(exchanges.length).toBeLessThanOrEqual(answers);
    if (exchanges.length < answers || whole.length < exchanges.length) expect(ended.counts.lost).toBeGreaterThan(0);
    if (disturb !== undefined) expect(ended.counts.lost).toBeGreaterThan(0);
    // Its files and its log are counted in place: what is lost is of its sockets.
    const ours = events
      .filter(ofKind('net.close'))
      .filter(({attributes}) => attributes['network.local.port'] === server.port);
    expect(toldAndLost(ours, lost)).toEqual({read: to.written - from.written, written: to.read - from.read});
    expect(load.errors).toEqual([]);
  });
});
