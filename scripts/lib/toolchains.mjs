// The compilers that Debian 12 has only in older versions by their usual names: which are needed, and how they come there.
import {chmodSync, existsSync, readdirSync, statSync} from 'node:fs';
import {homedir} from 'node:os';
import {delimiter, join} from 'node:path';
import {StepError, output, say} from './steps.mjs';

/** The release of Go that is fetched where Debian's is too old, and what go.sum would say of its module. */
const GO = '1.26.8';
const GO_SUM = 'h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=';

/**
 * By program: what prints its version, how it is had elsewhere, and, for root on Debian, the packages that bring it and what
 * is left to do then.
 */
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
  say(`• Go ${GO}`);
  const said = output('go', ['mod', 'download', '-json', goModule], {env, cwd: '/'});
  if (said === undefined) throw new StepError(`Go ${GO} could not be fetched: go mod download ${goModule}`);
  const {Sum: sum} = JSON.parse(said);
  if (sum !== GO_SUM) throw new StepError(`${goModule} is not what it was: its sum is ${sum}.`);
  const folder = join(goFolder(), '..');
  for (const path of ['bin', 'pkg/tool/linux_amd64']) {
    for (const name of existsSync(join(folder, path)) ? readdirSync(join(folder, path)) : []) {
      const file = join(folder, path, name);
      if (statSync(file).isFile()) chmodSync(file, 0o755);
    }
  }
}
