// npm run setup: what building and testing need, installed where it can be, else named.
import './lib/node-version.mjs';
import {ensurePackages} from './ensure-packages.mjs';
import {ensureNodeModules} from './lib/node-modules.mjs';
import {say, script} from './lib/steps.mjs';

await script(() => {
  ensurePackages(['build', 'test', 'bench', 'e2e']);
  ensureNodeModules();
  say('• ready: npm run build, npm test, npm run demo');
});
