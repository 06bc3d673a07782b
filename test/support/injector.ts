import {product} from './checkout';
import {run} from './program';

/** The injector's answer, as far as the tests read it (native/injector/src/report.rs). */
export interface InjectorReply {
  readonly ok: boolean;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly ring?: {readonly address: string; readonly bytes: number; readonly mapFile: string};
  readonly target?: {readonly kind: string; readonly threads: number; readonly ioUrings: number};
  readonly sites?: {readonly found: number; readonly hooked: number};
  readonly stop?: {readonly threads: number; readonly microseconds: number};
  readonly calls?: {
    readonly hooked: readonly string[];
    readonly partial: readonly {call: string; why: string}[];
    readonly missing: readonly string[];
  };
  readonly leftovers?: boolean;
  /** On the target, as `--fault-at` counts them. */
  readonly operations?: number;
}

export interface InjectorRun {
  readonly reply: InjectorReply | undefined;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export type InjectorVerb = 'check' | 'attach' | 'adopt' | 'detach' | 'inspect';

/** Runs the injector once. Never rejects for a refusal, nor when it was killed (`reply` is then undefined). */
export async function inject(verb: InjectorVerb, pid: number, ...flags: readonly string[]): Promise<InjectorRun> {
  const {stdout, stderr, code, signal} = await run(product.injector(), [verb, '--pid', String(pid), ...flags], {
    timeoutMs: 60_000,
  });
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  return {reply: last === '' ? undefined : (JSON.parse(last) as InjectorReply), code, signal, stderr};
}

/** Like `inject`, for what must succeed. */
export async function injected(verb: InjectorVerb, pid: number, ...flags: readonly string[]): Promise<InjectorReply> {
  const {reply, code, signal, stderr} = await inject(verb, pid, ...flags);
  if (reply?.ok !== true) {
    throw new Error(
      `scope-inject ${verb} --pid ${pid} ${flags.join(' ')}: ${JSON.stringify(reply)} (${code ?? signal}) ${stderr}`,
    );
  }
  return reply;
}
