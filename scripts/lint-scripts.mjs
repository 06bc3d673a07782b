// Fails when a script imports what is not there, in this tree: Node.js would say so only once it is run.
import {readdirSync} from 'node:fs';
import {join} from 'node:path';
import {build} from 'esbuild';
import {StepError, root, script} from './lib/steps.mjs';

const entryPoints = ['scripts', 'test'].flatMap(folder =>
  readdirSync(join(root, folder), {recursive: true, encoding: 'utf8'})
    .filter(path => path.endsWith('.mjs'))
    .map(path => join(folder, path)),
);

await script(async () => {
  const options = {bundle: true, packages: 'external', platform: 'node', format: 'esm', logLevel: 'silent'};
  const {errors} = await build({...options, entryPoints, absWorkingDir: root, outdir: 'none', write: false}).catch(
    failure => failure,
  );
  if (errors.length === 0) return;
  const told = errors.map(({text, location}) => `${location?.file ?? '?'}:${location?.line ?? 0}: ${text}`);
  throw new StepError(told.join('\n'));
});
