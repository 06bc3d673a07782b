import {mkdirSync, readFileSync, readdirSync} from 'node:fs';
import {request} from 'node:http';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import type {SessionView} from '@scope/attach';
import {product} from './checkout';
import {startTime, threadStates} from './proc';
import {Program, run} from './program';
import type {Stage} from './stage';
import {until} from './until';

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ScopeOptions {
  /** `now`: the test starts the agent and holds it. `on demand`: the first attach does, as it does for people. */
  readonly agent?: 'now' | 'on demand';
  readonly agentArgs?: readonly string[];
  /** Flags of the Node.js that runs the agent. */
  readonly nodeFlags?: readonly string[];
}

/** The product as a person has it: bin/scope and an agent, with a socket, a home and a history of their own. */
export class Scope {
  readonly socket: string;
  readonly home: string;
  readonly history: string;
  private held: Program | undefined;

  private constructor(folder: string) {
    this.socket = join(folder, 'agent.sock');
    this.home = join(folder, 'home');
    this.history = join(this.home, '.scope/history');
    mkdirSync(this.home);
  }

  /** Everything that it scoped is let go, and its agent ended, with the stage. */
  static async open(stage: Stage, {agent = 'now', agentArgs = [], nodeFlags = []}: ScopeOptions = {}): Promise<Scope> {
    const scope = new Scope(stage.folder());
    stage.use(scope);
    if (agent === 'now') await scope.startAgent(agentArgs, nodeFlags);
    return scope;
  }

  /** Starts an agent that stays until it is told to end; resolves when it is ready. */
  async startAgent(args: readonly string[] = [], nodeFlags: readonly string[] = []): Promise<Program> {
    const agent = await this.launchAgent(args, nodeFlags);
    await this.untilAgent('is ready', () => this.ask('GET', '/readyz'));
    return agent;
  }

  /** The same; resolves when it answers, whatever it still has to take back. */
  async launchAgent(args: readonly string[] = [], nodeFlags: readonly string[] = []): Promise<Program> {
    const flags = ['--max-semi-space-size=2', ...nodeFlags];
    const options = {args: [...flags, product.agent(), '--socket', this.socket, '--keep', ...args]};
    this.held = await Program.start(process.execPath, options);
    const {pid} = this.held;
    await this.untilAgent('answers', async () => (await this.agentPid()) === pid);
    return this.held;
  }

  /** Rejects with what the agent said. */
  private async untilAgent(what: string, probe: () => Promise<unknown>): Promise<void> {
    const {agent} = this;
    await until(`an agent that ${what}`, async () => {
      agent.assertAlive();
      return probe();
    }).catch((thrown: unknown) => {
      const threads = agent.alive ? [...threadStates(agent.pid).values()].join('') : JSON.stringify(agent.exit);
      throw new Error(`no agent that ${what}: ${threads}; it said:\n${agent.stderr}`, {cause: thrown});
    });
  }

  /** The agent that the test started. */
  get agent(): Program {
    if (this.held === undefined) throw new Error('this scope has no agent of its own');
    return this.held;
  }

  /** Of whatever agent answers on the socket. */
  async agentPid(): Promise<number | undefined> {
    try {
      const answer = await this.ask<{pid: number}>('GET', '/v1/health');
      return answer.body.pid;
    } catch {
      return undefined;
    }
  }

  /** Runs bin/scope; its environment holds nothing of the test's. */
  async command(
    args: readonly string[],
    {env = {}, input = ''}: {env?: Readonly<Record<string, string>>; input?: string} = {},
  ): Promise<CommandResult> {
    return run(product.command(), args, {env: {HOME: this.home, SCOPE_SOCKET: this.socket, ...env}, input});
  }

  /** `scope attach`, which must succeed: the session. */
  async attach(target: number | string, ...flags: readonly string[]): Promise<SessionView> {
    const result = await this.command(['attach', String(target), ...flags, '-o', 'json']);
    if (result.code !== 0)
      throw new Error(`scope attach ${target}: exit ${result.code}\n${result.stderr}${await this.logOfAgent()}`);
    return JSON.parse(result.stdout) as SessionView;
  }

  /** `scope detach`, which must succeed: the last snapshot of the session. */
  async detach(target: number | string): Promise<SessionView> {
    const result = await this.command(['detach', String(target), '-o', 'json']);
    if (result.code !== 0)
      throw new Error(`scope detach ${target}: exit ${result.code}\n${result.stderr}${await this.logOfAgent()}`);
    const [session] = (JSON.parse(result.stdout) as {sessions: SessionView[]}).sessions;
    if (session === undefined) throw new Error(`scope detach ${target} ended no session`);
    return session;
  }

  /** What `attach` does, without a command: for tests that attach very often. */
  async begin(pid: number, capture: Readonly<Record<string, object>>): Promise<SessionView> {
    const wish = {pid, startTime: startTime(pid), capture, owner: 'test', historyDirectory: this.history};
    return (await this.ask<SessionView>('POST', '/v1/sessions', wish)).body;
  }

  /** What `detach` does, without a command. */
  async end({id}: Pick<SessionView, 'id'>): Promise<SessionView> {
    return (await this.ask<SessionView>('DELETE', `/v1/sessions/${encodeURIComponent(id)}`)).body;
  }

  async session(id: string): Promise<SessionView> {
    return (await this.ask<SessionView>('GET', `/v1/sessions/${id}`)).body;
  }

  /** Every event of the session that its history holds by now, oldest first. */
  events({id}: Pick<SessionView, 'id'>): ScopeEvent[] {
    const folder = join(this.history, id);
    const part = (name: string): number => Number(/^events\.(\d+)\.ndjson$/.exec(name)?.[1] ?? 0);
    return readdirSync(folder)
      .filter(name => /^events(\.\d+)?\.ndjson$/.test(name))
      .sort((a, b) => part(b) - part(a))
      .flatMap(name => {
        const text = readFileSync(join(folder, name), 'utf8');
        return text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
      })
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as ScopeEvent);
  }

  /** How many events of each name the session had, by its history's own count. */
  eventCounts({id}: Pick<SessionView, 'id'>): Readonly<Record<string, number>> {
    const text = readFileSync(join(this.history, id, 'session.json'), 'utf8');
    return (JSON.parse(text) as {events?: Record<string, number>}).events ?? {};
  }

  /** Resolves to the first event that passes, of those there are or come soon. */
  async event(
    session: Pick<SessionView, 'id'>,
    what: string,
    passes: (event: ScopeEvent) => boolean,
  ): Promise<ScopeEvent> {
    return until(what, () => this.events(session).find(passes), {intervalMs: 50}).catch((thrown: unknown) => {
      const seen = this.events(session).map(event => JSON.stringify(event));
      throw new Error(`${what}: not among ${seen.length} events:\n${seen.slice(-30).join('\n')}`, {cause: thrown});
    });
  }

  /** The agent's socket API. Rejects for an answer of 300 and above. */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller knows what the agent answers
  async ask<T>(method: string, path: string, body?: unknown): Promise<{status: number; body: T}> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {socketPath: this.socket, method, path, headers: {'content-type': 'application/json'}},
        response => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => (text += part));
          response.on('end', () => {
            const status = response.statusCode ?? 0;
            if (status >= 300) reject(new Error(`${method} ${path}: ${status} ${text}`));
            else resolve({status, body: (text === '' ? undefined : JSON.parse(text)) as T});
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async close(): Promise<void> {
    const pid = await this.agentPid();
    if (pid !== undefined) await this.command(['detach', '--all']);
    if (this.held !== undefined) {
      await this.held.close();
    } else if (pid !== undefined) {
      process.kill(pid, 'SIGTERM');
      await until('the agent to end', async () => (await this.agentPid()) === undefined);
    }
  }

  private async logOfAgent(): Promise<string> {
    if (this.held !== undefined) return this.held.stderr.slice(-2000);
    return Promise.resolve(`see ${join(this.socket, '../agent.log')}`);
  }
}

export const ofKind =
  (...names: readonly ScopeEvent['event'][]) =>
  ({event}: ScopeEvent): boolean =>
    names.includes(event);

const QUIET_MS = 50;

/**
 * A moment, in milliseconds since 1970, with some silence around it: for who does nothing meanwhile. What happened before
 * and what happens after it are told apart by the time of their events, whenever those come.
 */
export async function quietMoment(): Promise<number> {
  await sleep(QUIET_MS);
  const now = Date.now();
  await sleep(QUIET_MS);
  return now;
}

export const isBetween =
  (fromMs: number, toMs = Infinity) =>
  ({time}: ScopeEvent): boolean =>
    Date.parse(time) >= fromMs && Date.parse(time) < toMs;

/** What descriptors carried, files and connections alike. */
export function carriedBy(
  events: readonly ScopeEvent[],
): Record<'read' | 'readCalls' | 'written' | 'writeCalls', number> {
  const all = (what: 'bytes' | 'calls', ...ways: readonly string[]): number =>
    ways.reduce((total, way) => total + sum(events, `scope.${way}.${what}`), 0);
  return {
    read: all('bytes', 'fs.read', 'net.receive'),
    readCalls: all('calls', 'fs.read', 'net.receive'),
    written: all('bytes', 'fs.write', 'net.transmit'),
    writeCalls: all('calls', 'fs.write', 'net.transmit'),
  };
}

/** The sum of a numeric attribute over events; absent counts as 0. */
export function sum(events: readonly ScopeEvent[], attribute: string): number {
  return events.reduce((total, {attributes}) => total + Number(attributes[attribute] ?? 0), 0);
}
