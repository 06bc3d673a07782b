// npm run verify [-- SUITE…]: what the gate leaves out: what it costs (bench) and the targets' own test suites (suites), then
// extended (more kinds of programs, hardship), e2e (a real Kubernetes cluster), torture, fuzz. Hours; needs root.
// Ends with one line on stdout: N passed, N failed. Exit code 1 on any failure; a missed bar of the bench is printed as missed.
import './lib/node-version.mjs';
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';
import {root, say, toldHelp} from './lib/steps.mjs';
import {runSuites, suitesOf} from './lib/suites.mjs';

/** Scripts that print tables of their own, which `N passed, N failed` does not count. */
const SCRIPTS = ['bench', 'suites'];

if (!toldHelp()) {
  const named = process.argv.slice(2);
  const wanted = named.length > 0 ? named : [...suitesOf('verify'), ...SCRIPTS];
  const codes = wanted
    .filter(name => SCRIPTS.includes(name))
    .map(name => {
      say(`\n━━ ${name}`);
      return (
        spawnSync(process.execPath, [join(root, `scripts/${name}.mjs`)], {cwd: root, stdio: 'inherit'}).status ?? 1
      );
    });
  const suites = wanted.filter(name => !SCRIPTS.includes(name));
  if (suites.length > 0) codes.push(await runSuites(suites));
  process.exitCode = Math.max(...codes);
}
