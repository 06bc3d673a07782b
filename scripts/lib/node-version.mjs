// Imported first by what people start: where Node.js is older than the project needs (a bare Debian 12 has 18), a current one is
// fetched once into the cache, and the script runs once more in it. No later syntax than Node.js 18 knows.
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, symlinkSync} from 'node:fs';
import {delimiter, join} from 'node:path';
import {IMAGE_NODE, nodeBinary} from './npm-program.mjs';
import {StepError, cacheDir, root, say} from './steps.mjs';

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
  say(`Node.js ${process.version} is too old: going on in a newer one.`);
  let folder;
  try {
    if (process.platform !== 'linux' || process.arch !== 'x64')
      throw new StepError(
        `Node.js ${process.version} is too old, and a newer one is only fetched for Linux on x86-64.`,
      );
    folder = folderOf(nodeBinary());
  } catch (error) {
    say(`✗ ${error instanceof StepError ? error.message : error.stack}`);
    process.exit(1);
  }
  const PATH = [folder, process.env.PATH].join(delimiter);
  const env = {...process.env, PATH, [FETCHED]: '1'};
  const {status, signal} = spawnSync(join(folder, 'node'), process.argv.slice(1), {env, stdio: 'inherit'});
  if (signal !== null) process.kill(process.pid, signal);
  process.exit(status ?? 1);
}

/** A folder for the PATH in which it is called `node`. */
function folderOf(binary) {
  const folder = join(cacheDir, 'node', `bin-${IMAGE_NODE}`);
  mkdirSync(folder, {recursive: true});
  const link = join(folder, 'node');
  if (!existsSync(link)) symlinkSync(binary, link);
  return folder;
}
