import type {ChildProcessByStdio} from 'node:child_process';
import {spawn} from 'node:child_process';
import type {Readable} from 'node:stream';
import {ScopeError} from '@scope/core';

/** Flags that mean what they mean to kubectl, handed on to it. */
export interface KubectlFlags {
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly namespace?: string;
}

/** The kubectl on PATH: authentication, contexts and proxies are its business. */
export class Kubectl {
  constructor(private readonly flags: KubectlFlags) {}

  /** stdout of a run. Rejects with ClusterUnavailable, or InvalidArgument when the API server refused the object. */
  async run(args: readonly string[], input?: string): Promise<string> {
    const child = spawn('kubectl', [...this.common(), ...args], {stdio: ['pipe', 'pipe', 'pipe']});
    child.stdin.end(input ?? '');
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), exitOf(child)]);
    if (code !== 0) throw refusal(args, err.trim());
    return out;
  }

  /** A run whose output goes on; the caller ends it by `signal`. */
  follow(args: readonly string[], signal: AbortSignal): ChildProcessByStdio<null, Readable, null> {
    return spawn('kubectl', [...this.common(), ...args], {stdio: ['ignore', 'pipe', 'inherit'], signal});
  }

  private common(): string[] {
    const {context, kubeconfig, namespace} = this.flags;
    return [
      ...(context === undefined ? [] : ['--context', context]),
      ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]),
      ...(namespace === undefined ? [] : ['--namespace', namespace]),
    ];
  }
}

async function text(stream: Readable): Promise<string> {
  let all = '';
  for await (const chunk of stream.setEncoding('utf8') as AsyncIterable<string>) all += chunk;
  return all;
}

function exitOf(child: ReturnType<typeof spawn>): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('close', resolve).once('error', cause => {
      reject(
        new ScopeError('ClusterUnavailable', `kubectl could not be started: ${cause.message}`, {
          cause,
          advice: 'Install kubectl, or use `scope` for the processes of this host.',
        }),
      );
    });
  });
}

function refusal(args: readonly string[], said: string): ScopeError {
  const doing = `kubectl ${args.slice(0, 2).join(' ')}`;
  if (/is invalid|strict decoding|denied the request/.test(said)) return new ScopeError('InvalidArgument', said);
  if (/NotFound|not found/.test(said))
    return new ScopeError('NoSuchSession', said, {advice: 'See `kubectl scope get`.'});
  return new ScopeError('ClusterUnavailable', `${doing} failed: ${said}`);
}
