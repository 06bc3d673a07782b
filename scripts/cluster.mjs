// npm run cluster -- up|status|down|load IMAGE: starts the harness under test/cluster, which is TypeScript, with nothing but the
// bundler the project already has.
import './lib/node-version.mjs';
import {build} from 'esbuild';
import {mkdirSync, rmSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const harness = join(here, '../test/cluster');
const outDir = join(here, '../node_modules/.cache/scope');
mkdirSync(outDir, {recursive: true});
const outfile = join(outDir, `cluster-${process.pid}.cjs`);
await build({
  entryPoints: [join(harness, 'main.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  define: {__dirname: JSON.stringify(harness)},
  logLevel: 'error',
});
try {
  await import(pathToFileURL(outfile).href);
} finally {
  rmSync(outfile, {force: true});
}
