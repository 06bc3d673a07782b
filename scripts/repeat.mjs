// npm run repeat -- FILE [TIMES] [--only TEXT]: one test file again and again (50 times), until it fails; then its words stay on
// the screen. For a test that fails now and then: it has found something. Needs what the file needs, and a build.
import './lib/node-version.mjs';
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {StepError, root, say, script} from './lib/steps.mjs';

await script(() => {
  const {values, positionals} = parseArgs({options: {only: {type: 'string'}}, allowPositionals: true});
  const [file, times = '50'] = positionals;
  const wanted = Number(times);
  if (file === undefined)
    throw new StepError('Say which test file: npm run repeat -- test/integration/redis.spec.ts 50');
  if (!Number.isInteger(wanted) || wanted < 1) throw new StepError(`${times} is no number of times.`);
  const only = values.only === undefined ? [] : ['--testNamePattern', values.only];
  const args = [join(root, 'node_modules/jest/bin/jest.js'), '--runInBand', '--runTestsByPath', file, ...only];
  const started = performance.now();
  for (let round = 1; round <= wanted; round++) {
    const {status, stderr} = spawnSync(process.execPath, args, {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    if (status !== 0) throw new StepError(`round ${round} of ${wanted} failed:\n${stderr}`);
    if (/Tests: .*\b0 total/.test(stderr)) throw new StepError(`no test was run:\n${stderr}`);
    say(`• round ${round} of ${wanted} passed, after ${Math.round((performance.now() - started) / 1000)} s`);
  }
});
