import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {ScopeError} from '@scope/core';
import type {InjectorRun} from './injector-reply.parser';
import {parseReply, parseReport} from './injector-reply.parser';
import type {Injector, InjectorOptions, InjectorReport} from './injector.port';

type Verb = 'check' | 'attach' | 'adopt' | 'detach' | 'inspect';

export interface InjectorProcessOptions {
  /** Path of the scope-inject executable. */
  readonly path: string;
  /** Size of each ring that an attach makes, a power of two; absent: the injector's own. */
  readonly ringBytes?: number;
  /** Of one run. */
  readonly timeoutMs?: number;
}

const OUTPUT_LIMIT_BYTES = 4 << 20;

/** Runs the static executable once per wish and reads the JSON on its last line. Killing it never harms the target. */
export class InjectorProcess implements Injector {
  private readonly path: string;
  private readonly timeoutMs: number;
  private readonly rings: readonly string[];

  constructor({path, ringBytes, timeoutMs = 20_000}: InjectorProcessOptions) {
    this.path = path;
    this.rings = ringBytes === undefined ? [] : ['--ring-bytes', String(ringBytes)];
    this.timeoutMs = timeoutMs;
  }

  async check(options: InjectorOptions, signal?: AbortSignal): Promise<InjectorReport> {
    return parseReport(await this.run('check', options, signal));
  }

  async attach(options: InjectorOptions, signal?: AbortSignal): Promise<InjectorReport> {
    return parseReport(await this.run('attach', options, signal));
  }

  async adopt(options: InjectorOptions, signal?: AbortSignal): Promise<InjectorReport> {
    return parseReport(await this.run('adopt', options, signal));
  }

  async detach(options: InjectorOptions, signal?: AbortSignal): Promise<void> {
    await this.run('detach', options, signal);
  }

  async inspect(options: InjectorOptions, signal?: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    return this.run('inspect', options, signal);
  }

  private async run(
    verb: Verb,
    options: InjectorOptions,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, unknown>>> {
    if (!existsSync(this.path)) {
      throw new ScopeError('NotBuilt', `The injector is not there: ${this.path}`, {details: {path: this.path}});
    }
    const args = [...argumentsOf(verb, options), ...(verb === 'attach' ? this.rings : [])];
    return parseReply(verb, options.pid, await this.spawn(verb, args, signal));
  }

  private spawn(verb: Verb, args: readonly string[], signal?: AbortSignal): Promise<InjectorRun> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.path, args, {stdio: ['ignore', 'pipe', 'pipe'], env: {}});
      const output = {stdout: '', stderr: ''};
      let failure: ScopeError | undefined;
      // Rejects only once it is gone: whoever mends afterwards must not meet it.
      const kill = (why: ScopeError): void => {
        failure = why;
        child.kill('SIGKILL');
      };
      const timer = setTimeout(() => {
        const message = `The injector did not end within ${this.timeoutMs / 1000} s (${args.join(' ')}).`;
        kill(new ScopeError('Timeout', message, {details: {verb}}));
      }, this.timeoutMs);
      const interrupt = (): void => {
        kill(new ScopeError('Interrupted', `The injector was interrupted (${args.join(' ')}).`, {details: {verb}}));
      };
      if (signal?.aborted === true) interrupt();
      signal?.addEventListener('abort', interrupt, {once: true});
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].setEncoding('utf8').on('data', (text: string) => {
          if (output[name].length + text.length <= OUTPUT_LIMIT_BYTES) output[name] += text;
        });
      }
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', interrupt);
      };
      child.on('error', cause => {
        settle();
        reject(new ScopeError('InternalError', `The injector could not be started: ${cause.message}`, {cause}));
      });
      child.on('close', code => {
        settle();
        if (failure === undefined) resolve({...output, code});
        else reject(failure);
      });
    });
  }
}

function argumentsOf(verb: Verb, {pid, enter, console, timing, captureBytes, replace}: InjectorOptions): string[] {
  const args = [verb, '--pid', String(pid)];
  if (enter === true && (verb === 'attach' || verb === 'detach')) args.push('--enter');
  if (verb !== 'attach') return args;
  if (console === true) args.push('--console');
  if (timing === true) args.push('--timing');
  if (replace === true) args.push('--replace');
  if (captureBytes !== undefined) args.push('--capture-bytes', String(captureBytes));
  return args;
}
