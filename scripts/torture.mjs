// npm run torture [-- --rounds N] [--points N|all] [--deaths N] [--only TEXT]: attach and detach N times under load, kill
// the injector at N points of an attach and of a detach, or after every single operation, kill the agent N times. Without
// flags as short as in `npm test`. Needs root and a build.
import './lib/node-version.mjs';
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {ensurePackages} from './ensure-packages.mjs';
import {root, script} from './lib/steps.mjs';

await script(() => {
  const {values} = parseArgs({
    options: {rounds: {type: 'string'}, points: {type: 'string'}, deaths: {type: 'string'}, only: {type: 'string'}},
  });
  ensurePackages(['test', 'suites']);
  const env = {...process.env};
  for (const name of ['rounds', 'points', 'deaths']) {
    if (values[name] !== undefined) env[`SCOPE_${name.toUpperCase()}`] = values[name];
  }
  const only = values.only === undefined ? [] : ['--testNamePattern', values.only];
  const args = [join(root, 'node_modules/jest/bin/jest.js'), '--selectProjects', 'torture', '--runInBand', ...only];
  process.exitCode = spawnSync(process.execPath, args, {cwd: root, env, stdio: 'inherit'}).status ?? 1;
});
