import type {ChildProcessWithoutNullStreams} from 'node:child_process';
import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {ScopeError} from '@scope/core';
import {parseFollowerLine} from './follower-event.parser';
import type {FollowOptions, Follower, FollowerEvent, Following} from './follower.port';

export interface FollowerProcessOptions {
  /** Path of the scope-inject executable. */
  readonly path: string;
  /** Children of one process that are scoped at a time at most. */
  readonly mostChildren: number;
  /** Size of each ring of a process that becomes another program, a power of two; absent: the injector's own. */
  readonly ringBytes?: number;
  /** Of its beginning, of letting one process go, and of its end. */
  readonly timeoutMs?: number;
}

/** What the injector gives a child itself: there may be many of them. */
const CHILD_RING_BYTES = 1 << 20;

/** Runs `scope-inject follow`. It ends with its standard input, so it never outlives this program. */
export class FollowerProcess implements Follower {
  constructor(private readonly options: FollowerProcessOptions) {}

  follow({pid, console, timing, captureBytes}: FollowOptions, on: (event: FollowerEvent) => void): Promise<Following> {
    const {path, mostChildren, ringBytes, timeoutMs = 10_000} = this.options;
    if (!existsSync(path)) {
      return Promise.reject(new ScopeError('NotBuilt', `The injector is not there: ${path}`, {details: {path}}));
    }
    const args = ['follow', '--pid', String(pid), '--most', String(mostChildren)];
    if (ringBytes !== undefined) {
      const ofChild = Math.min(ringBytes, CHILD_RING_BYTES);
      args.push('--ring-bytes', String(ringBytes), '--child-ring-bytes', String(ofChild));
    }
    if (console === true) args.push('--console');
    if (timing === true) args.push('--timing');
    if (captureBytes !== undefined) args.push('--capture-bytes', String(captureBytes));
    const conversation = new Conversation(pid, spawn(path, args, {stdio: 'pipe', env: {}}), on, timeoutMs);
    return conversation.begun.then(() => conversation);
  }
}

/** One line each way at a time; the child ends when told to, or with our end of its standard input. */
class Conversation implements Following {
  readonly begun: Promise<void>;
  readonly ended: Promise<ScopeError | undefined>;
  private readonly releases = new Map<number, () => void>();
  private isAsked = false;
  private isOver = false;
  private hasSaidSo = false;
  private rest = '';
  private stderr = '';
  private trouble: ScopeError | undefined;
  private begin: (error?: ScopeError) => void = () => undefined;

  constructor(
    private readonly pid: number,
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly on: (event: FollowerEvent) => void,
    private readonly timeoutMs: number,
  ) {
    this.begun = new Promise((resolve, reject) => {
      this.begin = error => {
        if (error === undefined) resolve();
        else reject(error);
      };
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.hear(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-2000);
    });
    // It may end before it has read all that we say.
    child.stdin.on('error', () => undefined);
    this.ended = new Promise(resolve => {
      child.on('error', cause => {
        this.trouble = new ScopeError('InternalError', `The follower could not be started: ${cause.message}`, {cause});
      });
      child.on('close', (code, signal) => {
        this.isOver = true;
        const error = this.whyItEnded(code, signal);
        this.begin(error ?? new ScopeError('ProcessExited', `Process ${pid} ended before it was followed.`));
        for (const release of this.releases.values()) release();
        resolve(this.isAsked ? undefined : error);
      });
    });
    const timer = setTimeout(() => {
      this.trouble = new ScopeError('Timeout', `Process ${pid} could not be followed within ${timeoutMs / 1000} s.`);
      child.kill('SIGKILL');
    }, timeoutMs);
    const settled = (): void => {
      clearTimeout(timer);
    };
    this.begun.then(settled, settled);
  }

  go(pid: number): void {
    this.say(`go ${pid}`);
  }

  release(pid: number): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.releases.delete(pid);
        reject(new ScopeError('Timeout', `Process ${pid} was not let go within ${this.timeoutMs / 1000} s.`));
      }, this.timeoutMs);
      this.releases.set(pid, () => {
        clearTimeout(timer);
        this.releases.delete(pid);
        resolve();
      });
      this.say(`release ${pid}`);
    });
  }

  async close(): Promise<void> {
    this.isAsked = true;
    if (this.isOver) return;
    this.child.stdin.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), this.timeoutMs);
    await this.ended;
    clearTimeout(timer);
  }

  private say(line: string): void {
    if (!this.isOver && !this.isAsked) this.child.stdin.write(`${line}\n`);
  }

  private hear(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      try {
        this.take(line);
      } catch (thrown) {
        this.trouble = ScopeError.of(thrown);
        this.child.kill('SIGTERM');
      }
    }
  }

  private take(text: string): void {
    const line = parseFollowerLine(text);
    switch (line.event) {
      case 'following':
        this.begin();
        return;
      case 'released':
        this.releases.get(line.pid)?.();
        return;
      case 'no':
        this.trouble = line.error;
        return;
      case 'over':
        this.hasSaidSo = true;
        return;
      default:
        this.on(line);
    }
  }

  private whyItEnded(code: number | null, signal: string | null): ScopeError | undefined {
    if (this.trouble !== undefined) return this.trouble;
    if (this.hasSaidSo) return undefined;
    const how = signal ?? `exit code ${code ?? 'none'}`;
    const said = this.stderr.trim();
    return new ScopeError(
      'InternalError',
      `The children of process ${this.pid} are not followed any more: the follower ended (${how})${said === '' ? '' : `: ${said}`}.`,
      {details: {pid: this.pid, code, signal}},
    );
  }
}
