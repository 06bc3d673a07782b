// npm run help: every habit of this repository in one line each.
const habits = {
  setup: 'install what is missing on this machine (Debian packages as root, npm packages)',
  build: 'build everything: native parts, then dist/{agent,controller,cli}.cjs',
  test: 'the gate: format, lint, types, unit tests, each kind of program once (root)',
  verify: 'all else: extended, e2e, torture, fuzz, bench, suites (root, hours)',
  'test:unit': 'unit tests only (jest and cargo), no root',
  'test:integration': 'attach to real programs, as in the gate',
  'test:extended': 'more programs, and hardship: pressure, hostile rings, restarts',
  'test:torture': 'attach and detach under load, kill things at bad moments',
  'test:e2e': 'on a real Kubernetes cluster, started here',
  repeat: 'npm run repeat -- FILE 50: one test file until it fails',
  torture: 'the same for longer: npm run torture -- --rounds 5000 --points all',
  lint: 'ESLint, import directions, imports of scripts, generated files',
  'lint:native': 'cargo fmt --check and clippy -D warnings',
  format: 'prettier --write (format:check to look only)',
  typecheck: 'tsc',
  generate: 'types, docs/api and the chart’s table of values, from the chart’s CRDs and values',
  demo: 'scope a running server, live (root)',
  bench: 'what it costs: a table, raw figures kept; --profile: where the time goes; --write: docs/bench.md',
  fuzz: 'npm run fuzz -- --seconds 300: hostile rings, HTTP, DNS and console streams against the decoder, program files and code against the planner',
  suites: 'npm run suites -- NAME: the targets’ own test suites, scoped for their whole life',
  cluster: 'npm run cluster -- up|status|down|load IMAGE: the Kubernetes harness',
  image: 'build the container image; npm run image -- --push REGISTRY',
};
const width = Math.max(...Object.keys(habits).map(name => name.length));
for (const [name, does] of Object.entries(habits)) {
  process.stdout.write(`npm run ${name.padEnd(width)}  ${does}\n`);
}
