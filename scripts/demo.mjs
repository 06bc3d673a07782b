// npm run demo: from a fresh clone to live events of a running server, and back. As root. Node's own modules only, until
// the packages are installed; the show itself is test/demo/main.ts.
import './lib/node-version.mjs';
import {join} from 'node:path';
import {ensurePackages} from './ensure-packages.mjs';
import {StepError, root, run, say, script} from './lib/steps.mjs';

await script(async () => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new StepError(`The demo needs Linux on x86-64; this is ${process.platform} on ${process.arch}.`);
  }
  if (process.geteuid() !== 0)
    throw new StepError('The demo looks into another process: run it as root (sudo npm run demo).');
  const started = performance.now();
  say('Getting ready: what is missing is installed and built. Nothing of it is needed a second time.');
  ensurePackages(['build', 'demo']);
  run('build', process.execPath, [join(root, 'scripts/build.mjs')]);
  say(`Ready after ${((performance.now() - started) / 1000).toFixed(0)} s.`);
  const {runTypeScript} = await import('./lib/typescript.mjs');
  await runTypeScript('test/demo/main.ts');
});
