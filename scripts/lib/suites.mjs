// The suites of tests and how one is run. What guards main is the gate; what proves the rest is verify.
import {spawn} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, readdirSync, rmSync} from 'node:fs';
import {join, relative} from 'node:path';
import {stripVTControlCharacters} from 'node:util';
import {ensurePackages} from '../ensure-packages.mjs';
import {ensureNodeModules} from './node-modules.mjs';
import {StepError, root, run, say} from './steps.mjs';

const results = join(root, 'results');

/**
 * `circle`: gate or verify. `needs`: groups of packages that are installed, and a build made, before anything runs.
 * `minutes`: past them the suite is ended and has failed. In the order of what is known soonest.
 */
const SUITES = {
  checks: {circle: 'gate', needs: ['build'], minutes: 10, run: checks},
  unit: {circle: 'gate', needs: [], minutes: 10, run: () => jest('unit', [])},
  cargo: {circle: 'gate', needs: ['build'], minutes: 20, run: cargo},
  integration: {circle: 'gate', needs: ['build', 'test'], minutes: 20, run: () => jest('integration', ['--runInBand'])},
  extended: {
    circle: 'verify',
    needs: ['build', 'test', 'servers'],
    minutes: 40,
    run: () => jest('extended', ['--runInBand']),
  },
  e2e: {circle: 'verify', needs: ['build', 'e2e'], minutes: 40, run: () => jest('e2e', ['--runInBand'])},
  torture: {
    circle: 'verify',
    needs: ['build', 'test', 'suites'],
    minutes: 60,
    run: () => jest('torture', ['--runInBand']),
  },
  fuzz: {circle: 'verify', needs: ['build'], minutes: 30, run: fuzz},
};

/** The suites of a circle, in the order in which they run. */
export const suitesOf = circle => Object.keys(SUITES).filter(name => SUITES[name].circle === circle);

/** What a commit must be before anything runs it: npm script → what it looks at. */
const CHECKS = {
  'format:check': 'prettier',
  typecheck: 'tsc',
  lint: 'ESLint, import directions, imports of scripts, generated files',
  'lint:native': 'rustfmt, clippy, fuzz targets compile',
};

/** Started, with what else it started, by the running suite: ended with it. */
let current;

/**
 * Runs the suites one after the other; says every failure once more at the end, and `N passed, N failed` over all on the
 * last line of stdout. Resolves to an exit code: 0, 1 after a failure, 2 when called wrongly.
 * A suite that crashes, finds no test, or takes too long has failed.
 */
export async function runSuites(wanted) {
  const names = [...wanted];
  const unknown = names.find(name => !(name in SUITES));
  if (unknown !== undefined) {
    say(`There is no suite ${unknown}: there are ${Object.keys(SUITES).join(', ')}.`);
    return 2;
  }
  endWithSignals();
  mkdirSync(results, {recursive: true});
  const started = performance.now();
  const rows = [];
  try {
    prepare(names);
  } catch (error) {
    const words = error instanceof StepError ? error.message : error.stack;
    const failures = [{what: 'packages and build', words}];
    rows.push({name: 'preparation', passed: 0, failed: 1, skipped: 0, seconds: secondsSince(started), failures});
    names.length = 0;
  }
  for (const name of names) rows.push(await runSuite(name));
  sayFailures(rows);
  for (const {name, passed, failed, skipped, seconds, note} of rows) {
    const skips = skipped > 0 ? `, ${skipped} SKIPPED` : '';
    say(`${failed > 0 ? '✗' : '✓'} ${name}: ${passed} passed, ${failed} failed${skips} (${seconds} s)${note ?? ''}`);
  }
  say(`in ${secondsSince(started)} s`);
  const total = key => rows.reduce((sum, row) => sum + row[key], 0);
  process.stdout.write(`${total('passed')} passed, ${total('failed')} failed\n`);
  return total('failed') > 0 ? 1 : 0;
}

const secondsSince = started => Math.round((performance.now() - started) / 1000);

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
  return {name, ...counts, seconds: secondsSince(started)};
}

/** Each check is one test: passed when its script ended with 0. */
async function checks() {
  const failures = [];
  for (const [check, what] of Object.entries(CHECKS)) {
    say(`• ${check}: ${what}`);
    const {code, text} = await start('npm', ['run', '--silent', check], SUITES.checks.minutes, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {...process.env, NO_COLOR: '1'},
    });
    if (code !== 0) failures.push({what: `npm run ${check}`, words: text});
  }
  const total = Object.keys(CHECKS).length;
  return {passed: total - failures.length, failed: failures.length, skipped: 0, failures};
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
  // What says NOT MEASURED, since this machine can't show it, counts as skipped, not as passed.
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
    const file = relative(root, name);
    const tests = assertionResults
      .filter(({status}) => status === 'failed')
      .map(({fullName, failureMessages}) => ({what: `${file}: ${fullName}`, words: failureMessages.join('\n')}));
    const crashed = tests.length === 0 && message !== '' && assertionResults.length === 0;
    return crashed ? [{what: file, words: message}] : tests;
  });
}

/** Once more at the end, where whoever reads only that finds it: with its words, then a line each. */
function sayFailures(rows) {
  const LINES = 30;
  const all = rows.flatMap(({name, failures = []}) => failures.map(failure => ({name, ...failure})));
  for (const {name, what, words} of all) {
    const lines = stripVTControlCharacters(words).split('\n');
    say(`\n✗ ${name}: ${what}`);
    for (const line of lines.slice(0, LINES)) say(`    ${line}`);
    if (lines.length > LINES) say(`    … ${lines.length - LINES} more lines`);
  }
  if (all.length > 0) say('');
  for (const {name, what} of all) say(`✗ ${name}: ${what}`);
}

/** The Rust workspace, and the injector with its own target settings. */
async function cargo() {
  const totals = {passed: 0, failed: 0, skipped: 0, failures: []};
  const folders = [
    [join(root, 'native'), ['--workspace', '--exclude', 'scope-inject', '--exclude', 'scope-injector']],
    [join(root, 'native/injector'), []],
  ];
  for (const [cwd, args] of folders) {
    const all = ['test', '--release', '--locked', '--no-fail-fast', ...args];
    const {code, text} = await start('cargo', all, SUITES.cargo.minutes, {cwd, stdio: ['ignore', 'pipe', 2]});
    let failed = 0;
    for (const [, ok, bad, ignored] of text.matchAll(/^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored/gm)) {
      totals.passed += Number(ok);
      totals.skipped += Number(ignored);
      failed += Number(bad);
    }
    totals.failed += failed === 0 && code !== 0 ? 1 : failed;
    const words = text.split('\n');
    for (const [, what] of text.matchAll(/^test (\S+) \.\.\. FAILED$/gm)) {
      const from = words.indexOf(`---- ${what} stdout ----`);
      totals.failures.push({what: `cargo test ${what}`, words: words.slice(from, from + 20).join('\n')});
    }
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

/** Runs a program in a process group of its own; past its minutes the group is ended. What it prints into a pipe is shown and returned. */
function start(command, args, minutes, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {cwd: root, detached: true, ...options});
    current = child;
    let text = '';
    for (const pipe of [child.stdout, child.stderr]) {
      pipe?.setEncoding('utf8').on('data', part => {
        text += part;
        process.stderr.write(part);
      });
    }
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

function endWithSignals() {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      if (current !== undefined) end(current);
      process.exitCode = 130;
    });
  }
}
