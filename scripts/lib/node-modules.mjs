// npm ci, when what is installed is not what the lock says.
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {createHash} from 'node:crypto';
import {join} from 'node:path';
import {root, run} from './steps.mjs';

const stamp = join(root, 'node_modules/.scope-lock');

function lockHash() {
  const hash = createHash('sha256');
  for (const name of ['package.json', 'package-lock.json']) hash.update(readFileSync(join(root, name)));
  return hash.digest('hex');
}

/** True when node_modules holds what the lock asks for: by our stamp, or by npm's own record of what it installed. */
function isInstalled() {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash()) return true;
  const record = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const there = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, {version, link, optional, peer}]) =>
      path === '' || link || optional || peer || !path.startsWith('node_modules/') || there[path]?.version === version,
  );
}

/** Installs the packages that the lock names, unless they are there. */
export function ensureNodeModules() {
  if (isInstalled()) return;
  run('npm ci', 'npm', ['ci', '--no-audit', '--no-fund', '--fetch-retries', '5', '--loglevel=error']);
  writeFileSync(stamp, lockHash());
}
