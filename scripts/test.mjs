// npm test [-- SUITE…]: the gate. Installs and builds what is missing, then format, lint, types and import directions,
// unit tests (jest, cargo), and each kind of program once, attached to for real (integration; needs root). Or the named suites.
// Ends with one line on stdout: N passed, N failed. Exit code 1 on any failure.
import './lib/node-version.mjs';
import {toldHelp} from './lib/steps.mjs';
import {runSuites, suitesOf} from './lib/suites.mjs';

if (!toldHelp()) {
  const named = process.argv.slice(2);
  process.exitCode = await runSuites(named.length > 0 ? named : suitesOf('gate'));
}
