// npm run bench [-- [--quick] [--only NAME] [--profile] [--write]]: what scoping costs, against its bars and against other tools, in one table.
//   --quick       rough figures, sooner
//   --only NAME   only write, pause, throughput, decoder, agent, or growth; may be given several times
//   --profile     afterwards, where the processor time of the agent and of scoped programs goes
//   --write       puts the table into docs/bench.md: a whole run only
// Raw figures are kept in results/. Needs root.
import './lib/node-version.mjs';
import {parseArgs} from 'node:util';
import {join} from 'node:path';
import {ensurePackages} from './ensure-packages.mjs';
import {root, run, script} from './lib/steps.mjs';

await script(async () => {
  // Looked at before anything is installed; test/bench/main.ts reads them.
  const yes = {type: 'boolean'};
  parseArgs({options: {quick: yes, only: {type: 'string', multiple: true}, profile: yes, write: yes}});
  ensurePackages(['build', 'test', 'bench']);
  run('build', process.execPath, [join(root, 'scripts/build.mjs')]);
  const {runTypeScript} = await import('./lib/typescript.mjs');
  await runTypeScript('test/bench/main.ts');
});
