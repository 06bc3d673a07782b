// npm run fuzz -- [--seconds N] [TARGET...]: each fuzz target of the decoder and the planner in turn, with coverage-guided libFuzzer, then a
// table of executions and crashes; exit 1 when there was any. Works with the stable toolchain: no cargo-fuzz, no nightly.
// What was learnt stays in native/target/fuzz/corpus; what crashes is kept in native/target/fuzz/crashes.
import './lib/node-version.mjs';
import {spawnSync} from 'node:child_process';
import {mkdirSync, readdirSync, statSync} from 'node:fs';
import {join, relative} from 'node:path';
import {parseArgs} from 'node:util';
import {StepError, output, root, run, say, script} from './lib/steps.mjs';

const crate = join(root, 'native/fuzz');
const folder = join(root, 'native/target/fuzz');
// --target: instrumentation is for what is fuzzed, not for build scripts.
const TRIPLE = 'x86_64-unknown-linux-gnu';
/** What cargo-fuzz passes too, but for the sanitizer: that one needs nightly. */
const COVERAGE = [
  '--cfg=fuzzing',
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '-Cllvm-args=-sanitizer-coverage-trace-compares',
  '-Ccodegen-units=1',
];
/** An input that takes longer, in seconds, or more memory, in megabytes, is a finding as well. */
const LIMITS = ['-timeout=5', '-rss_limit_mb=1024'];
const LONGEST = 4096;
/** Program files to begin with: of one source, linked in several ways. */
const SEEDS = {elf: [['-static'], ['-static', '-s'], ['-static-pie', '-fPIE'], ['-shared', '-fPIC']]};
const SMALL = ['-Os', '-nostdlib', '-w', '-Wl,--build-id=none', '-Wl,-z,noseparate-code', '-Wl,-z,norelro'];

await script(() => {
  const {values, positionals} = parseArgs({
    options: {seconds: {type: 'string', default: '60'}},
    allowPositionals: true,
  });
  const seconds = Number(values.seconds);
  if (!Number.isInteger(seconds) || seconds < 1) throw new StepError(`--seconds ${values.seconds} is no whole number.`);
  const known = readdirSync(join(crate, 'fuzz_targets')).map(name => name.replace(/\.rs$/, ''));
  const unknown = positionals.filter(name => !known.includes(name));
  if (unknown.length > 0) throw new StepError(`No such target: ${unknown.join(', ')}. There are ${known.join(', ')}.`);
  if (output('cargo', ['--version']) === undefined)
    throw new StepError('cargo is missing: install Rust (https://rustup.rs).');
  build();
  const results = (positionals.length > 0 ? positionals : known).map(name => fuzz(name, seconds));
  for (const line of table(results)) process.stdout.write(`${line}\n`);
  const crashed = results.filter(({crashes}) => crashes.length > 0);
  if (crashed.length > 0) {
    const files = crashed.flatMap(({crashes}) => crashes.map(path => `  ${relative(root, path)}`));
    throw new StepError(
      `Found by this run:\n${files.join('\n')}\nKeep each as a test: native/decoder/src/fuzzing, native/injector/src/survey.rs.`,
    );
  }
});

function build() {
  const RUSTFLAGS = COVERAGE.join(' ');
  run(
    'fuzz targets',
    'cargo',
    ['build', '--release', '--quiet', '--locked', '--target', TRIPLE, '--target-dir', folder],
    {
      cwd: crate,
      env: {...process.env, RUSTFLAGS},
    },
  );
}

/** Puts first inputs into the corpus, where a target needs some to get anywhere. The length that inputs may have. */
function seed(name, corpus) {
  const lengths = (SEEDS[name] ?? []).map((flags, at) => {
    const file = join(corpus, `seed-${at}`);
    run('seed', 'cc', [...SMALL, ...flags, '-o', file, join(crate, 'seeds/calls.c')]);
    return statSync(file).size;
  });
  return Math.max(LONGEST, ...lengths);
}

function fuzz(name, seconds) {
  say(`• ${name}: ${seconds} s`);
  const [corpus, crashes] = ['corpus', 'crashes'].map(kind => join(folder, kind, name));
  for (const path of [corpus, crashes]) mkdirSync(path, {recursive: true});
  const longest = seed(name, corpus);
  const before = new Set(readdirSync(crashes));
  const {status, signal, stderr, error} = spawnSync(
    join(folder, TRIPLE, 'release', name),
    [
      corpus,
      `-dict=${join(crate, 'dictionary.txt')}`,
      `-artifact_prefix=${crashes}/`,
      `-max_total_time=${seconds}`,
      '-print_final_stats=1',
      `-max_len=${longest}`,
      ...LIMITS,
    ],
    {stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', maxBuffer: 1 << 28},
  );
  if (error) throw new StepError(`${name} could not be started (${error.message}).`);
  const found = readdirSync(crashes).filter(file => !before.has(file));
  if (status !== 0 && found.length === 0)
    throw new StepError(`${name} ended with ${signal ?? `exit code ${status}`}:\n${stderr.slice(-2000)}`);
  if (status !== 0) say(stderr.slice(-4000));
  const figure = pattern => Number(pattern.exec(stderr)?.[1] ?? Number.NaN);
  return {
    name,
    execs: figure(/stat::number_of_executed_units:\s*(\d+)/),
    perSecond: figure(/stat::average_exec_per_sec:\s*(\d+)/),
    coverage: Number([...stderr.matchAll(/ cov: (\d+) /g)].at(-1)?.[1] ?? Number.NaN),
    corpus: readdirSync(corpus).length,
    crashes: found.map(file => join(crashes, file)),
  };
}

function table(results) {
  const heads = ['TARGET', 'EXECS', 'PER SECOND', 'COVERAGE', 'CORPUS', 'CRASHES'];
  const rows = results.map(({name, execs, perSecond, coverage, corpus, crashes}) =>
    [name, execs, perSecond, coverage, corpus, crashes.length].map(String),
  );
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map(row => row[column].length)));
  return [heads, ...rows].map(row =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join('  '),
  );
}
