import {spawn} from 'node:child_process';
import {existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {ScopeError} from '@scope/core';
import {AgentClient} from './agent-client';

const START_MS = 20_000;
const LOG_BYTES = 1 << 20;
/** glibc gives memory back sooner: 10 to 15 MB less at the peak (mallopt(3)). */
const LEAN_ALLOCATOR = {MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TRIM_THRESHOLD_: '65536'};
const FLOCK = '/usr/bin/flock';

export interface LauncherOptions {
  readonly socketPath: string;
  /** Folder of agent.cjs. */
  readonly dist: string;
}

/**
 * The agent that serves this host, started if there is none. Two commands may do this at once: the agent runs under an
 * exclusive lock (flock(1), released by the kernel when it dies), so the second waits for the first one's socket; a
 * lock that is still held by an agent that is ending is waited for.
 */
export async function ensureAgent({socketPath, dist}: LauncherOptions): Promise<AgentClient> {
  const client = new AgentClient(socketPath);
  if (await client.isAnswering()) return client;
  const agent = join(dist, 'agent.cjs');
  if (!existsSync(agent)) throw new ScopeError('NotBuilt', `The agent is not there: ${agent}`);
  const logPath = join(dirname(socketPath), 'agent.log');
  const child = launch(agent, socketPath, logPath);
  const ended = new Promise<number | null>(resolve => {
    child.on('exit', resolve);
    child.on('error', () => {
      resolve(null);
    });
  });
  const deadline = performance.now() + START_MS;
  let exit: number | null | undefined;
  void ended.then(code => {
    exit = code;
  });
  while (performance.now() < deadline) {
    if (await client.isAnswering()) return client;
    if (exit !== undefined) break;
    await delay(25);
  }
  // Another command's agent may have won the race just now.
  if (await client.isAnswering()) return client;
  throw new ScopeError('AgentUnavailable', `The agent did not start: ${lastWords(logPath)}`, {
    details: {log: logPath, exit},
    advice: `See its log: ${logPath}`,
  });
}

function launch(agent: string, socketPath: string, logPath: string): ReturnType<typeof spawn> {
  mkdirSync(dirname(socketPath), {recursive: true, mode: 0o700});
  if (existsSync(logPath) && statSync(logPath).size > LOG_BYTES) {
    rmSync(`${logPath}.1`, {force: true});
    renameSync(logPath, `${logPath}.1`);
  }
  const log = openSync(logPath, 'a', 0o600);
  const command = [process.execPath, '--max-semi-space-size=2', agent, '--socket', socketPath];
  const locked = existsSync(FLOCK) ? [FLOCK, '-F', '-w', '15', `${socketPath}.lock`, ...command] : command;
  const [program = process.execPath, ...args] = locked;
  const env = {...process.env, ...LEAN_ALLOCATOR};
  const child = spawn(program, args, {detached: true, stdio: ['ignore', log, log], cwd: '/', env});
  child.unref();
  return child;
}

/** The last line of the log that says why; JSON's "message" where it is JSON. */
function lastWords(logPath: string): string {
  const line = existsSync(logPath) ? readFileSync(logPath, 'utf8').trimEnd().split('\n').at(-1) : undefined;
  if (line === undefined || line === '') return 'it said nothing';
  try {
    const {message, msg} = JSON.parse(line) as {message?: string; msg?: string};
    return message ?? msg ?? line;
  } catch {
    return line;
  }
}
