import type {ChildProcess} from 'node:child_process';
import {spawn} from 'node:child_process';
import {createInterface} from 'node:readline';
import {kubectl as runKubectl, kubectlCommand} from '../../cluster/cluster';
import type {RunResult} from '../../cluster/shell';
import {tryRun, until} from '../../cluster/shell';
import {layout} from './environment';

export const kubectl = (...args: string[]): Promise<string> => runKubectl(layout, args);

export async function apply(manifest: string | object): Promise<string> {
  return runKubectl(layout, ['apply', '-f', '-'], typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
}

/** What `kubectl apply` answers, whether or not the API server takes it. */
export function tryApply(manifest: object): Promise<RunResult> {
  return tryRun(...kubectlCommand(layout, ['apply', '-f', '-']), {input: JSON.stringify(manifest)});
}

/** An object as JSON; undefined when there is none. */
export async function get<T>(kind: string, name: string, namespace?: string): Promise<T | undefined> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  const answer = await kubectl('get', kind, name, ...where, '-o', 'json', '--ignore-not-found');
  return answer === '' ? undefined : (JSON.parse(answer) as T);
}

export async function list<T>(kind: string, namespace?: string, ...more: string[]): Promise<readonly T[]> {
  const where = namespace === undefined ? ['-A'] : ['-n', namespace];
  const answer = await kubectl('get', kind, ...where, '-o', 'json', ...more);
  return (JSON.parse(answer) as {items: readonly T[]}).items;
}

/** Polls an object until `test` holds. */
export function untilObject<T>(
  what: string,
  find: () => Promise<T | undefined>,
  test: (object: T) => boolean,
  timeoutMs = 30_000,
): Promise<T> {
  let last: T | undefined;
  return until(what, timeoutMs, async () => {
    last = await find();
    return last !== undefined && test(last) ? last : undefined;
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\nlast seen: ${JSON.stringify(last, undefined, 1)}`);
  });
}

/** A program that goes on: its standard output by lines. */
export class Followed {
  private readonly child: ChildProcess;

  constructor(
    program: string,
    args: readonly string[],
    onLine: (line: string) => void,
    env: Readonly<Record<string, string>> = {},
  ) {
    this.child = spawn(program, args, {stdio: ['ignore', 'pipe', 'inherit'], env: {...process.env, ...env}});
    if (this.child.stdout !== null) createInterface({input: this.child.stdout}).on('line', onLine);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise(resolve => this.child.once('close', resolve));
    this.child.kill('SIGTERM');
    await ended;
  }
}

/** A kubectl that goes on. */
export const follow = (args: readonly string[], onLine: (line: string) => void): Followed =>
  new Followed(...kubectlCommand(layout, args), onLine);
