// Runs a TypeScript program of this repository with nothing but the bundler the project already has.
import {mkdirSync, rmSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {root} from './steps.mjs';

/** Bundles `entry` (relative to the checkout) and runs it here; resolves when its module has run. */
export async function runTypeScript(entry) {
  const {build} = await import('esbuild');
  const folder = join(root, 'node_modules/.cache/scope');
  mkdirSync(folder, {recursive: true});
  const outfile = join(folder, `${basename(dirname(entry))}-${process.pid}.cjs`);
  await build({
    entryPoints: [join(root, entry)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    tsconfig: join(root, 'tsconfig.json'),
    logLevel: 'error',
  });
  try {
    await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(outfile, {force: true});
  }
}
