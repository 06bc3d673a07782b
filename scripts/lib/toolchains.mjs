// The compilers that Debian 12 has only in older versions by their usual names: which are needed, and how they come there.
import {chmodSync, existsSync, readdirSync, statSync} from 'node:fs';
import {homedir} from 'node:os';
import {delimiter, join} from 'node:path';
import {StepError, output, run} from './steps.mjs';

/** As root on Debian a missing one is installed from its packages, and from Go's own module proxy. */
const GO = '1.26.8';

/** By program: what prints its version, the oldest that works, how it is had elsewhere, and what installs it. */
const TOOLCHAINS = {
  cargo: {
    args: ['--version'],
    how: 'https://rustup.rs, or Debian’s cargo-web',
    packages: ['rustc-web', 'cargo-web', 'rust-web-clippy', 'rustfmt-web'],
  },
  go: {
    args: ['version'],
    how: 'https://go.dev/dl',
    packages: ['golang-go', 'ca-certificates'],
    after: fetchGo,
  },
  kubectl: {args: ['version', '--client'], how: 'https://kubernetes.io/docs/tasks/tools'},
};

/** Puts what was fetched before on the PATH of this script and of all that it starts. */
export function useFetched() {
  const bin = goFolder();
  if (existsSync(join(bin, 'go'))) process.env.PATH = [bin, process.env.PATH].join(delimiter);
}

/**
 * `wanted` is [program, [major, minor]] of each that is needed. They are there afterwards, or StepError says which are not.
 * `install` installs Debian packages by name; undefined where that can't be done.
 */
export function ensureToolchains(wanted, install) {
  for (const [program, least] of wanted) {
    if (faultOf(program, least) === undefined || install === undefined) continue;
    const {packages, after} = TOOLCHAINS[program];
    if (packages === undefined) continue;
    install(packages);
    after?.();
    useFetched();
  }
  const faults = wanted.map(([program, least]) => faultOf(program, least)).filter(fault => fault !== undefined);
  if (faults.length > 0) throw new StepError([...new Set(faults)].join('\n'));
}

function faultOf(program, least) {
  const {args, how} = TOOLCHAINS[program];
  const found = /(\d+)\.(\d+)/.exec(output(program, args) ?? '');
  const needed = `${program} ≥ ${least.join('.')}`;
  if (found === null) return `${needed} is not on PATH (${how})`;
  const [major, minor] = [Number(found[1]), Number(found[2])];
  const ok = major > least[0] || (major === least[0] && minor >= least[1]);
  return ok ? undefined : `${needed} is needed, found ${major}.${minor} (${how})`;
}

const goModule = `golang.org/toolchain@v0.0.1-go${GO}.linux-amd64`;

function goFolder() {
  const cache = process.env.GOMODCACHE ?? join(process.env.GOPATH ?? join(homedir(), 'go'), 'pkg/mod');
  return join(cache, goModule, 'bin');
}

/** A release of Go is a module; its files come without the right to be executed. */
function fetchGo() {
  const env = {...process.env, GOFLAGS: '-modcacherw', GONOSUMDB: 'golang.org/toolchain', GO111MODULE: 'on'};
  run(`Go ${GO}`, 'go', ['mod', 'download', goModule], {env, cwd: '/'});
  const folder = join(goFolder(), '..');
  for (const path of ['bin', 'pkg/tool/linux_amd64']) {
    for (const name of existsSync(join(folder, path)) ? readdirSync(join(folder, path)) : []) {
      const file = join(folder, path, name);
      if (statSync(file).isFile()) chmodSync(file, 0o755);
    }
  }
}
