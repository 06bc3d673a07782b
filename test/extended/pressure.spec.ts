// Far more events than anybody takes: the agent's memory stays bounded, the target never waits, and what is missing is told
// where it is missing, to the event.
import {closeSync, constants, openSync, read, readFileSync, readdirSync} from 'node:fs';
import type {IncomingMessage} from 'node:http';
import {request} from 'node:http';
import type {Server} from 'node:net';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import type {ScopeEvent} from '@scope/api';
import type {SessionView} from '@scope/attach';
import {product} from '../support/checkout';
import {statusField} from '../support/proc';
import {Program, succeed} from '../support/program';
import {Scope, sum} from '../support/scope';
import {PYTHON, startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

/** What the events of one test amount to: an agent that kept them would need this much. */
const FLOOD_BYTES = 200e6;
/** The least that an event's line has here. */
const LINE_BYTES = 200;
/** A queue of 8 to 16 MB for whoever is slow, 8 MB on their way from the decoder, and what Node needs besides. */
const AGENT_BYTES = 260e6;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

const peakBytes = (pid: number): number => Number.parseInt(statusField(`/proc/${pid}`, 'VmHWM'), 10) * 1024;

/** A program that makes events as fast as it can, scoped. */
async function flood(scope: Scope, historyDirectory?: string): Promise<{session: SessionView; program: Program}> {
  const {program} = await startTester(stage, 'churn.c');
  const wish = {pid: program.pid, owner: 'test', ...(historyDirectory !== undefined && {historyDirectory})};
  const {body: session} = await scope.ask<SessionView>('POST', '/v1/sessions', wish);
  return {session, program};
}

async function untilFlooded(scope: Scope, {id}: SessionView): Promise<void> {
  const enough = async (): Promise<boolean> => (await scope.session(id)).counts.delivered * LINE_BYTES > FLOOD_BYTES;
  await until('the flood', enough, {timeoutMs: 200_000, intervalMs: 200});
}

/** The target worked on and found each of its bytes; its session's last counts. */
async function endFlood(scope: Scope, session: SessionView, program: Program): Promise<SessionView['counts']> {
  const ended = await scope.end(session);
  expect(ended.state).toBe('Detached');
  expect(Number(await program.ask('status', 'status'))).toBeGreaterThan(0);
  await program.ask('quit', 'status');
  expect(await program.finish()).toEqual({code: 0, signal: null});
  return ended.counts;
}

/** Events that a reader got, and those that it was told are missing. */
class Ledger {
  got = 0;
  told = 0;
  private rest = '';

  take(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.includes('"event":"scope.lost"')) this.got += 1;
      else this.told += (JSON.parse(line) as ScopeEvent).lost?.events ?? 0;
    }
  }

  get all(): number {
    return this.got + this.told;
  }
}

it('a reader of the live stream that does not read', async () => {
  const scope = await Scope.open(stage);
  const stream = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request({socketPath: scope.socket, path: '/v1/events?follow'}, resolve);
    outgoing.on('error', reject).end();
  });
  stage.defer('the stream', () => {
    stream.destroy();
  });
  const {session, program} = await flood(scope);
  await untilFlooded(scope, session);
  expect(peakBytes(scope.agent.pid)).toBeLessThan(AGENT_BYTES);
  const {delivered} = await endFlood(scope, session, program);

  const ledger = new Ledger();
  stream.setEncoding('utf8').on('data', (text: string) => {
    ledger.take(text);
  });
  await until('everything to be accounted for', () => ledger.all >= delivered, {timeoutMs: 60_000});
  expect(ledger.all).toBe(delivered);
  expect(ledger.told).toBeGreaterThan(0);
  const metrics = await scope.command(['metrics', 'scope_sink_dropped_total']);
  expect(metrics.stdout).toContain(`scope_sink_dropped_total{sink="stream"} ${ledger.told}`);
});

it('a collector that takes the connection and never answers', async () => {
  const server = await new Promise<Server>(resolve => {
    const listener = createServer(socket => socket.on('error', () => undefined).resume());
    listener.listen(0, '127.0.0.1', () => {
      resolve(listener);
    });
  });
  stage.defer('the collector', () => {
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const scope = await Scope.open(stage, {agentArgs: ['--otlp-endpoint', `http://127.0.0.1:${port}`]});
  const {session, program} = await flood(scope);
  await untilFlooded(scope, session);
  expect(peakBytes(scope.agent.pid)).toBeLessThan(AGENT_BYTES);
  const {delivered, dropped} = await endFlood(scope, session, program);
  // All but what waits: 16 MiB at most.
  expect(delivered - (dropped.otlp ?? 0)).toBeLessThan((16 << 20) / LINE_BYTES);
  const metrics = await scope.command(['metrics', 'scope_sink_*']);
  expect(metrics.stdout).toContain(`scope_sink_dropped_total{sink="otlp"} ${dropped.otlp}`);
  const depth = Number(/scope_sink_queue_depth_bytes\{sink="otlp"\} (\d+)/.exec(metrics.stdout)?.[1]);
  expect(depth).toBeGreaterThan(0);
  expect(depth).toBeLessThanOrEqual(16 << 20);
  scope.agent.signal('SIGTERM');
  expect(await scope.agent.finish(15_000)).toEqual({code: 0, signal: null});
});

describe('a standard output that nobody reads', () => {
  async function open(): Promise<{scope: Scope; agent: Program; pipe: number}> {
    const fifo = join(stage.folder(), 'stdout');
    await succeed('mkfifo', [fifo]);
    const pipe = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    stage.defer('the pipe', () => {
      closeSync(pipe);
    });
    const scope = await Scope.open(stage, {agent: 'on demand'});
    const command = [process.execPath, product.agent(), '--socket', scope.socket, '--keep', '--stdout-events'];
    const agent = stage.use(await Program.start('sh', {args: ['-c', 'exec "$@" > "$0"', fifo, ...command]}));
    await until('the agent', async () => (await scope.agentPid()) !== undefined);
    return {scope, agent, pipe};
  }

  it('costs nobody anything, and is told of what it missed', async () => {
    const {scope, agent, pipe} = await open();
    const {session, program} = await flood(scope);
    await untilFlooded(scope, session);
    expect(peakBytes(agent.pid)).toBeLessThan(AGENT_BYTES);
    const {delivered} = await endFlood(scope, session, program);
    const ledger = new Ledger();
    const chunk = Buffer.alloc(1 << 20);
    const readSome = promisify(read);
    /** False: the pipe is empty. */
    const takeSome = async (): Promise<boolean> => {
      try {
        const {bytesRead} = await readSome(pipe, chunk, 0, chunk.length, null);
        ledger.take(chunk.toString('utf8', 0, bytesRead));
        return true;
      } catch {
        return false;
      }
    };
    agent.signal('SIGTERM');
    while (agent.alive) if (!(await takeSome())) await sleep(5);
    while (await takeSome());
    expect(await agent.finish()).toEqual({code: 0, signal: null});
    expect(ledger.told).toBeGreaterThan(0);
    expect(ledger.all).toBe(delivered);
  });

  it('does not keep the agent from its end', async () => {
    const {scope, agent} = await open();
    const {session, program} = await flood(scope);
    await until('a full pipe', async () => (await scope.session(session.id)).counts.delivered > 10_000);
    await endFlood(scope, session, program);
    agent.signal('SIGTERM');
    expect(await agent.finish(15_000)).toEqual({code: 0, signal: null});
  });
});

it('a disk that is full for a while: history goes on, and says what it lacks', async () => {
  const folder = stage.folder();
  await succeed('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', folder]);
  stage.defer(`the mount ${folder}`, async () => {
    await succeed('umount', ['-l', folder]);
  });
  const scope = await Scope.open(stage);
  const history = join(folder, 'history');
  const {session, program} = await flood(scope, history);
  const isFull = async (): Promise<boolean> => {
    const {problems, counts} = await scope.session(session.id);
    return problems.some(({reason}) => reason === 'DiskFull') && (counts.dropped.history ?? 0) > 0;
  };
  await until('a full disk', isFull, {timeoutMs: 120_000, intervalMs: 100});
  await succeed('mount', ['-o', 'remount,size=1g', folder]);
  const {delivered} = await scope.session(session.id).then(({counts}) => counts);
  await until('more events', async () => (await scope.session(session.id)).counts.delivered > delivered + 50_000, {
    timeoutMs: 120_000,
  });
  const counts = await endFlood(scope, session, program);
  const ledger = new Ledger();
  const files = readdirSync(join(history, session.id)).filter(name => name.startsWith('events.'));
  for (const name of files) ledger.take(readFileSync(join(history, session.id, name), 'utf8'));
  expect(ledger.told).toBe(counts.dropped.history);
  expect(ledger.all).toBe(counts.delivered);
});

it('of large messages that nobody fetches for a while the beginnings are kept, so that no call is lost', async () => {
  const MESSAGES = 400;
  const BYTES = 16_384;
  const source = `
import os, socket, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one ring has to do
near, far = socket.socketpair()
print("ready", flush=True)
sys.stdin.readline()
for turn in range(${MESSAGES}):
    near.sendall(bytes([turn % 256]) * ${BYTES})
    assert far.recv(${BYTES}, socket.MSG_WAITALL) == bytes([turn % 256]) * ${BYTES}
print("done", flush=True)
sys.stdin.readline()
`;
  const program = stage.use(await Program.start(PYTHON, {args: ['-c', source]}));
  await program.answer('ready');
  const scope = await Scope.open(stage);
  const session = await scope.attach(program.pid);
  scope.agent.signal('SIGSTOP');
  program.send('go');
  await program.answer('done');
  scope.agent.signal('SIGCONT');
  const ended = await scope.detach(program.pid);
  expect(ended.counts.lost).toBe(0);
  const pair = scope
    .events(session)
    .filter(({event, attributes}) => event === 'net.close' && Number(attributes['scope.fd']) > 2);
  expect(sum(pair, 'scope.net.transmit.bytes')).toBe(MESSAGES * BYTES);
  expect(sum(pair, 'scope.net.receive.bytes')).toBe(MESSAGES * BYTES);
});
