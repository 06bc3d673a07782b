// What the project's scripts share: where they are, how they speak, how they start others. Node's own modules only:
// they run before anything is installed.
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {homedir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

/** The checkout. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Where fetched and built things are kept, outside the tree. */
export const cacheDir = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'scope');

/** Talk goes to stderr; stdout is for results. */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** A failure that needs no stack: what was tried, why it failed, what to do. */
export class StepError extends Error {}

/** Runs a program with our terminal; throws StepError when it fails. Returns how long it took, in seconds. */
export function run(what, command, args, options = {}) {
  const started = performance.now();
  say(`• ${what}`);
  const {status, signal, error} = spawnSync(command, args, {cwd: root, stdio: ['inherit', 2, 2], ...options});
  if (error) throw new StepError(`${what}: ${command} could not be started (${error.message}).`);
  if (status !== 0)
    throw new StepError(`${what} failed: ${command} ${args.join(' ')} (${signal ?? `exit code ${status}`}).`);
  return (performance.now() - started) / 1000;
}

/** What a program prints on stdout, trimmed; undefined when it is not there or fails. */
export function output(command, args, options = {}) {
  const {status, stdout} = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    ...options,
  });
  return status === 0 ? stdout.trim() : undefined;
}

/** With --help: prints the comment that the running script begins with, which is its manual. True: that was all. */
export function toldHelp() {
  if (!process.argv.slice(2).some(arg => arg === '--help' || arg === '-h')) return false;
  const [manual] = /^(\/\/.*\n)+/.exec(readFileSync(process.argv[1], 'utf8')) ?? [''];
  process.stdout.write(manual.replaceAll(/^\/\/ ?/gm, ''));
  return true;
}

/** Runs `main` and turns what it throws into one line and exit code 1, or 2 when it was called wrongly. */
export async function script(main) {
  if (toldHelp()) return;
  try {
    await main();
  } catch (error) {
    const isUsage = String(error.code).startsWith('ERR_PARSE_ARGS');
    say(error instanceof StepError || isUsage ? `✗ ${error.message}` : (error.stack ?? String(error)));
    process.exitCode = isUsage ? 2 : 1;
  }
}
