import type {ChildProcessWithoutNullStreams} from 'node:child_process';
import {spawn} from 'node:child_process';
import {readlinkSync, realpathSync, symlinkSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {join} from 'node:path';
import {threadStates} from './proc';
import {Hopeless, PATIENCE_MS, until} from './until';

export interface ProgramOptions {
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** Added to a small fixed environment (PATH, LANG). */
  readonly env?: Readonly<Record<string, string>>;
  /** Run as this user and group, with no capabilities of root. */
  readonly uid?: number;
  /** The kernel's name of the process (at most 15 bytes), by a symbolic link in `cwd`. */
  readonly name?: string;
}

const OUTPUT_LIMIT_BYTES = 1 << 20;

/**
 * A program that a test started: ended by its pid at the latest when the test process ends (the kernel sees to that).
 * Its stdout is read line by line.
 */
export class Program {
  readonly pid: number;
  readonly file: string;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: string[] = [];
  private partial = '';
  private errors = '';
  private waiting: (() => void) | undefined;
  private ended: {code: number | null; signal: NodeJS.Signals | null} | undefined;
  private expectedEnd = false;
  /** What it said when something was wrong: the first line that begins with FAIL. */
  private failure: string | undefined;

  private constructor(file: string, child: ChildProcessWithoutNullStreams, pid: number) {
    this.file = file;
    this.child = child;
    this.pid = pid;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const parts = (this.partial + text).split('\n');
      this.partial = parts.pop() ?? '';
      this.lines.push(...parts);
      this.failure ??= parts.find(line => line.startsWith('FAIL'));
      this.wake();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.errors = (this.errors + text).slice(-OUTPUT_LIMIT_BYTES);
    });
    child.stdin.on('error', () => undefined); // its end is seen in `exit`
    child.on('close', (code, signal) => {
      this.ended = {code, signal};
      this.wake();
    });
  }

  /** Resolves once the kernel runs `file` itself. */
  static async start(file: string, options: ProgramOptions = {}): Promise<Program> {
    const {args = [], cwd, env = {}, uid, name} = options;
    let path = file;
    if (name !== undefined && cwd !== undefined) {
      path = join(cwd, name);
      symlinkSync(file, path);
    }
    // setpriv becomes the program: same pid. The kernel ends it should this process die before it.
    const user = uid === undefined ? [] : [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
    const child = spawn('setpriv', [...user, '--pdeathsig', 'KILL', '--', path, ...args], {
      ...(cwd !== undefined && {cwd}),
      env: {PATH: process.env.PATH ?? '/usr/bin:/bin', LANG: 'C.UTF-8', ...env},
      stdio: 'pipe',
    });
    const {pid} = child;
    if (pid === undefined) {
      await new Promise((_, reject) => child.once('error', reject));
      throw new Error(`${file} could not be started`);
    }
    return new Program(file, child, pid);
  }

  get alive(): boolean {
    return this.ended === undefined;
  }

  /** Unlike `alive`, false at once when it has ended: children that it left behind may hold its pipes. */
  private isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** What it wrote to stderr, the last of it. */
  get stderr(): string {
    return this.errors;
  }

  /** How it ended; undefined while it runs. */
  get exit(): {code: number | null; signal: NodeJS.Signals | null} | undefined {
    return this.ended;
  }

  /** Resolves once the kernel runs its file and all its threads wait: for programs that say nothing. */
  async asleep(): Promise<void> {
    const file = realpathSync(this.file);
    await until(`${this.describe()} to wait`, () => {
      this.assertAlive();
      if (readlinkSync(`/proc/${this.pid}/exe`) !== file) return false;
      return [...threadStates(this.pid).values()].every(state => state === 'S');
    });
  }

  send(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  endInput(): void {
    this.child.stdin.end();
  }

  /** The next line of its stdout. Rejects when it says "FAIL …", ends, or stays silent for too long. */
  async line(timeoutMs = PATIENCE_MS): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      this.assertNotFailed();
      const line = this.lines.shift();
      if (line !== undefined) return line;
      if (this.ended !== undefined)
        throw new Error(`${this.describe()} ended: ${JSON.stringify(this.ended)}\n${this.errors}`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`${this.describe()} said nothing for ${timeoutMs} ms`);
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, Math.min(left, 1000));
        this.waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** The rest of the next line, which must begin with `word`. */
  async answer(word: string, timeoutMs?: number): Promise<string> {
    const line = await this.line(timeoutMs);
    if (line !== word && !line.startsWith(`${word} `))
      throw new Error(`${this.describe()} said "${line}", not "${word}"`);
    return line.slice(word.length + 1);
  }

  async ask(command: string, word: string, timeoutMs?: number): Promise<string> {
    this.send(command);
    return this.answer(word, timeoutMs);
  }

  /** Resolves when it has ended. */
  async finish(timeoutMs = PATIENCE_MS): Promise<{code: number | null; signal: NodeJS.Signals | null}> {
    this.expectedEnd = true;
    return until(`${this.describe()} to end`, () => this.ended, {timeoutMs});
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Throws unless it runs and never said FAIL. For programs that are supposed to live through a test. */
  assertAlive(): void {
    this.assertNotFailed();
    if (this.ended !== undefined)
      throw new Hopeless(`${this.describe()} died: ${JSON.stringify(this.ended)}\n${this.errors}`);
  }

  /** Ends it: SIGTERM, after a second SIGKILL. */
  async close(): Promise<void> {
    const died = !this.expectedEnd && this.ended !== undefined && this.ended.signal !== null ? this.ended : undefined;
    this.expectedEnd = true;
    if (this.isRunning()) {
      this.child.kill('SIGTERM');
      for (let tries = 0; tries < 50 && this.isRunning(); tries++) await sleep(20);
      if (this.isRunning()) this.child.kill('SIGKILL');
      await until(`${this.describe()} to end after SIGKILL`, () => !this.isRunning());
    }
    this.child.stdin.destroy();
    if (died !== undefined)
      throw new Error(`${this.describe()} died in the test: ${JSON.stringify(died)}\n${this.errors}`);
  }

  private assertNotFailed(): void {
    if (this.failure !== undefined) throw new Hopeless(`${this.describe()}: ${this.failure}`);
  }

  private describe(): string {
    return `${this.file} (process ${this.pid})`;
  }

  private wake(): void {
    this.waiting?.();
    this.waiting = undefined;
  }
}

/** Runs a program to its end; never rejects for a non-zero exit code. */
export async function run(
  file: string,
  args: readonly string[],
  options: {env?: Readonly<Record<string, string>>; cwd?: string; timeoutMs?: number; input?: string} = {},
): Promise<{code: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string}> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      ...(options.cwd !== undefined && {cwd: options.cwd}),
      env: {PATH: process.env.PATH ?? '/usr/bin:/bin', LANG: 'C.UTF-8', ...options.env},
      stdio: 'pipe',
      timeout: options.timeoutMs ?? 120_000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({code, signal, stdout, stderr});
    });
  });
}

/** Like `run`, for programs that must succeed: their stdout. */
export async function succeed(...call: Parameters<typeof run>): Promise<string> {
  const {code, signal, stdout, stderr} = await run(...call);
  if (code !== 0) throw new Error(`${call[0]} ${call[1].join(' ')}: ${code ?? signal}\n${stderr}${stdout}`.trimEnd());
  return stdout;
}
