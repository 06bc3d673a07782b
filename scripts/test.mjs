// npm test [-- SUITE…]: installs and builds what is missing, then runs the suites one after the other: unit, cargo,
// fuzz, integration, e2e, torture (all of them by default). The last line says `N passed, N failed`, over all of them.
// What says NOT MEASURED, since this machine can't show it, counts as skipped, not as passed.
// Exit code 1 on any failure; a suite that crashes, finds no test, or takes too long counts as a failure.
import {spawn} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, readdirSync, rmSync} from 'node:fs';
import {join, relative} from 'node:path';
import {stripVTControlCharacters} from 'node:util';
import {ensurePackages} from './ensure-packages.mjs';
import {ensureNodeModules} from './lib/node-modules.mjs';
import {StepError, root, run, say, toldHelp} from './lib/steps.mjs';

const results = join(root, 'results');

/** In the order of what is known soonest. `needs`: groups of packages; `minutes`: past them it is ended. */
const SUITES = {
  unit: {needs: [], minutes: 10, run: () => jest('unit', [])},
  cargo: {needs: ['build'], minutes: 20, run: cargo},
  fuzz: {needs: ['build'], minutes: 20, run: fuzz},
  integration: {needs: ['build', 'test'], minutes: 30, run: () => jest('integration', ['--runInBand'])},
  e2e: {needs: ['build', 'e2e'], minutes: 40, run: () => jest('e2e', ['--runInBand'])},
  torture: {needs: ['build', 'test', 'suites'], minutes: 30, run: () => jest('torture', ['--runInBand'])},
};

/** Started, with what else it started, by the running suite: ended with it. */
let current;

if (!toldHelp()) process.exitCode = await main(process.argv.slice(2));

async function main(wanted) {
  const names = wanted.length > 0 ? wanted : Object.keys(SUITES);
  const unknown = names.find(name => !(name in SUITES));
  if (unknown !== undefined) {
    say(`There is no suite ${unknown}: there are ${Object.keys(SUITES).join(', ')}.`);
    return 2;
  }
  mkdirSync(results, {recursive: true});
  const started = performance.now();
  const totals = {passed: 0, failed: 0};
  try {
    prepare(names);
  } catch (error) {
    say(`✗ ${error instanceof StepError ? error.message : error.stack}`);
    totals.failed += 1;
    names.length = 0;
  }
  const rows = [];
  for (const name of names) {
    const row = await runSuite(name);
    totals.passed += row.passed;
    totals.failed += row.failed;
    rows.push(row);
  }
  sayFailures(rows);
  for (const {name, passed, failed, skipped, seconds, note} of rows) {
    const skips = skipped > 0 ? `, ${skipped} SKIPPED` : '';
    say(`${failed > 0 ? '✗' : '✓'} ${name}: ${passed} passed, ${failed} failed${skips} (${seconds} s)${note ?? ''}`);
  }
  say(`in ${Math.round((performance.now() - started) / 1000)} s`);
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`);
  return totals.failed > 0 ? 1 : 0;
}

function prepare(names) {
  ensureNodeModules();
  const needs = [...new Set(names.flatMap(name => SUITES[name].needs))];
  if (needs.length === 0) return;
  ensurePackages(needs);
  run('build', process.execPath, [join(root, 'scripts/build.mjs')]);
}

async function runSuite(name) {
  say(`\n━━ ${name}`);
  const started = performance.now();
  const counts = await SUITES[name]
    .run()
    .catch(error => ({passed: 0, failed: 1, skipped: 0, note: ` ${error.message}`}));
  return {name, ...counts, seconds: Math.round((performance.now() - started) / 1000)};
}

/** One jest project. Its JSON report counts; without one it crashed. Suites that could not run count as failures. */
async function jest(project, args) {
  const report = join(results, `${project}.json`);
  const notMeasured = join(results, `${project}.not-measured`);
  for (const file of [report, notMeasured]) rmSync(file, {force: true});
  const jestPath = join(root, 'node_modules/jest/bin/jest.js');
  const all = [
    jestPath,
    '--selectProjects',
    project,
    '--json',
    '--outputFile',
    report,
    '--testLocationInResults',
    ...args,
  ];
  const {code} = await start(process.execPath, all, SUITES[project].minutes, {
    stdio: ['ignore', 'ignore', 2],
    env: {...process.env, SCOPE_NOT_MEASURED: notMeasured},
  });
  if (!existsSync(report)) throw new Error(`jest ended without a report (exit code ${code})`);
  const said = JSON.parse(readFileSync(report, 'utf8'));
  const {numPassedTests, numFailedTests, numPendingTests, numRuntimeErrorTestSuites, numTotalTests} = said;
  const names = new Set(existsSync(notMeasured) ? readFileSync(notMeasured, 'utf8').split('\n') : []);
  const tests = said.testResults.flatMap(({assertionResults}) => assertionResults);
  const leftOut = tests.filter(({status, fullName}) => status === 'passed' && names.has(fullName)).length;
  const counted = numFailedTests + numRuntimeErrorTestSuites;
  const failed = counted === 0 && (code !== 0 || numTotalTests === 0) ? 1 : counted;
  const note = numTotalTests === 0 ? ' no test was found' : undefined;
  return {
    passed: numPassedTests - leftOut,
    failed,
    skipped: numPendingTests + leftOut,
    note,
    failures: failuresOf(said),
  };
}

/** What failed in a report of jest, with its words: tests, and files that could not be run. */
function failuresOf({testResults}) {
  return testResults.flatMap(({name, message, assertionResults}) => {
    const tests = assertionResults
      .filter(({status}) => status === 'failed')
      .map(({fullName, failureMessages}) => ({what: fullName, words: failureMessages.join('\n')}));
    const crashed = tests.length === 0 && message !== '' && assertionResults.length === 0;
    return crashed ? [{what: relative(root, name), words: message}] : tests;
  });
}

/** Once more at the end, where whoever reads only that finds it. */
function sayFailures(rows) {
  const LINES = 30;
  for (const {name, failures = []} of rows) {
    for (const {what, words} of failures) {
      const lines = stripVTControlCharacters(words).split('\n');
      say(`\n✗ ${name}: ${what}`);
      for (const line of lines.slice(0, LINES)) say(`    ${line}`);
      if (lines.length > LINES) say(`    … ${lines.length - LINES} more lines`);
    }
  }
}

/** The Rust workspace, and the injector with its own target settings. */
async function cargo() {
  const totals = {passed: 0, failed: 0, skipped: 0};
  const folders = [
    [join(root, 'native'), ['--workspace', '--exclude', 'scope-inject', '--exclude', 'scope-injector']],
    [join(root, 'native/injector'), []],
  ];
  for (const [cwd, args] of folders) {
    const all = ['test', '--release', '--no-fail-fast', ...args];
    const {code, text} = await start('cargo', all, SUITES.cargo.minutes, {cwd, stdio: ['ignore', 'pipe', 2]});
    let failed = 0;
    for (const [, ok, bad, ignored] of text.matchAll(/^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored/gm)) {
      totals.passed += Number(ok);
      totals.skipped += Number(ignored);
      failed += Number(bad);
    }
    totals.failed += failed === 0 && code !== 0 ? 1 : failed;
  }
  return totals;
}

/** Each fuzz target, for a minute in CI: one that ran and found nothing has passed; one without figures has not run. */
async function fuzz() {
  const seconds = process.env.CI === undefined ? 5 : 60;
  const args = [join(root, 'scripts/fuzz.mjs'), '--seconds', String(seconds)];
  const {code, text} = await start(process.execPath, args, SUITES.fuzz.minutes, {stdio: ['ignore', 'pipe', 2]});
  const targets = readdirSync(join(root, 'native/fuzz/fuzz_targets')).map(name => name.replace(/\.rs$/, ''));
  const rows = [...text.matchAll(/^(\w+) +[1-9]\d* +\d+ +\d+ +\d+ +(\d+)$/gm)];
  const clean = new Set(rows.filter(([, , crashes]) => crashes === '0').map(([, name]) => name));
  const silent = targets.filter(target => !rows.some(([, name]) => name === target));
  const passed = targets.filter(target => clean.has(target)).length;
  const bad = targets.length - passed;
  const failed = bad === 0 && code !== 0 ? 1 : bad;
  const note = silent.length > 0 ? ` without figures: ${silent.join(', ')}` : undefined;
  return {passed, failed, skipped: 0, note};
}

/** Runs a program in a process group of its own; past its minutes the group is ended. What it prints on a piped stdout is shown and returned. */
function start(command, args, minutes, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {cwd: root, detached: true, ...options});
    current = child;
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', part => {
      text += part;
      process.stderr.write(part);
    });
    const timer = setTimeout(() => {
      say(`✗ took more than ${minutes} minutes`);
      end(child);
    }, minutes * 60_000);
    child.on('error', reject);
    child.on('close', code => {
      clearTimeout(timer);
      current = undefined;
      resolve({code, text});
    });
  });
}

function end(child) {
  try {
    process.kill(-child.pid, 'SIGTERM');
    setTimeout(() => process.kill(-child.pid, 'SIGKILL'), 5000).unref();
  } catch {
    // It is gone already.
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    if (current !== undefined) end(current);
    process.exitCode = 130;
  });
}
