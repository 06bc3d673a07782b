// node scripts/ensure-packages.mjs [GROUP…]: what this machine must have beside Node.js and npm, for build, demo, test, servers,
// suites, bench, image, e2e.
// As root on Debian what is missing is installed, without starting any service; elsewhere it is named exactly.
import {accessSync, constants, existsSync, rmSync, writeFileSync} from 'node:fs';
import {delimiter, join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {StepError, run, say, script} from './lib/steps.mjs';
import {ensureToolchains, useFetched} from './lib/toolchains.mjs';

/** What is needed for what: a program on PATH (or a file), and the Debian package that brings it. */
const NEEDS = {
  build: {
    gcc: 'gcc',
    'g++': 'g++',
    ld: 'binutils',
    '/usr/include/stdlib.h': 'libc6-dev',
  },
  test: {
    nginx: 'nginx-light',
    'redis-server': 'redis-server',
    'redis-benchmark': 'redis-tools',
    strace: 'strace',
    gdb: 'gdb',
    'musl-gcc': 'musl-tools',
    busybox: 'busybox-static',
    wrk: 'wrk',
    python3: 'python3',
    java: 'default-jre-headless',
    javac: 'default-jdk-headless',
    script: 'bsdutils',
    setpriv: 'util-linux',
    ip: 'iproute2',
    ps: 'procps',
    git: 'git',
  },
  demo: {
    nginx: 'nginx-light',
    setpriv: 'util-linux',
  },
  servers: {
    apache2: 'apache2',
    lighttpd: 'lighttpd',
    haproxy: 'haproxy',
    php: 'php-cli',
    ruby: 'ruby',
    '/var/lib/dpkg/info/ruby-webrick.list': 'ruby-webrick',
    '/usr/lib/erlang/bin': 'erlang-base',
    '/var/lib/dpkg/info/erlang-inets.list': 'erlang-inets',
    '/usr/lib/python3/dist-packages/uvicorn': 'python3-uvicorn',
    '/usr/lib/python3/dist-packages/uvloop': 'python3-uvloop',
    '/usr/lib/python3/dist-packages/httptools': 'python3-httptools',
    '/usr/lib/postgresql': 'postgresql',
    mariadbd: 'mariadb-server',
    mariadb: 'mariadb-client',
    memcached: 'memcached',
  },
  suites: {
    tclsh: 'tcl',
    cmake: 'cmake',
    'musl-gcc': 'musl-tools',
  },
  bench: {
    bpftrace: 'bpftrace',
    ab: 'apache2-utils',
    perf: 'linux-perf',
    taskset: 'util-linux',
  },
  image: {
    buildah: 'buildah',
  },
  e2e: {
    containerd: 'containerd',
    runc: 'runc',
    '/usr/lib/cni/bridge': 'containernetworking-plugins',
    ip: 'iproute2',
    iptables: 'iptables',
    conntrack: 'conntrack',
    openssl: 'openssl',
    buildah: 'buildah',
    'docker-registry': 'docker-registry',
    nsenter: 'util-linux',
    python3: 'python3',
  },
};

/** Compilers and the like, by group: the oldest that works (lib/toolchains.mjs knows where each comes from). */
const TOOLCHAINS = {
  build: [['cargo', [1, 85]]],
  test: [['go', [1, 21]]],
  e2e: [
    ['go', [1, 25]],
    ['kubectl', [1, 30]],
  ],
};

/** Downloads can stutter. */
const RETRIES = ['-o', 'Acquire::Retries=5'];

const POLICY = '/usr/sbin/policy-rc.d';
/** invoke-rc.d(8): 101 forbids every action, so that installed servers are not started. */
const FORBID = '#!/bin/sh\nexit 101\n';

/** Everything that the groups need is there afterwards, or StepError says exactly what is not. */
export function ensurePackages(groups) {
  useFetched();
  const missing = missingPackages(groups);
  if (missing.size > 0) {
    if (!canInstall()) throw new StepError(`${naming(missing)}\nAs root on Debian they are installed by themselves.`);
    install([...missing.keys()]);
    const still = missingPackages(groups);
    if (still.size > 0) throw new StepError(`Installed, and yet not found: ${naming(still)}`);
  }
  const wanted = groups.flatMap(group => TOOLCHAINS[group] ?? []);
  ensureToolchains(wanted, canInstall() ? install : undefined);
}

/** Debian package → the programs it is missed for. */
function missingPackages(groups) {
  const missing = new Map();
  for (const group of groups) {
    for (const [program, name] of Object.entries(NEEDS[group] ?? {})) {
      if (isThere(program)) continue;
      missing.set(name, [...(missing.get(name) ?? []), program]);
    }
  }
  return missing;
}

function isThere(program) {
  if (program.startsWith('/')) return existsSync(program);
  // Debian keeps servers in sbin, which not every PATH names.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some(folder => isExecutable(join(folder, program)));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function naming(missing) {
  const lines = [...missing].map(([name, programs]) => `  ${name} (for ${programs.join(', ')})`);
  return `Debian packages are missing:\n${lines.join('\n')}\nsudo apt-get install ${[...missing.keys()].join(' ')}`;
}

function canInstall() {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && isThere('apt-get');
}

function install(names) {
  const env = {...process.env, DEBIAN_FRONTEND: 'noninteractive'};
  const ours = !existsSync(POLICY);
  if (ours) writeFileSync(POLICY, FORBID, {mode: 0o755});
  const restore = () => {
    if (ours) rmSync(POLICY, {force: true});
  };
  process.once('exit', restore);
  try {
    run('apt-get update', 'apt-get', ['update', '-qq', ...RETRIES], {env});
    const options = ['-y', '-qq', '--no-install-recommends', '-o', 'Dpkg::Options::=--force-confold', ...RETRIES];
    run(`apt-get install ${names.join(' ')}`, 'apt-get', ['install', ...options, ...names], {env});
  } finally {
    restore();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await script(() => {
    const groups = process.argv.slice(2);
    const unknown = groups.find(group => !(group in NEEDS));
    if (unknown !== undefined) throw new StepError(`No group ${unknown}: there are ${Object.keys(NEEDS).join(', ')}.`);
    ensurePackages(groups.length > 0 ? groups : Object.keys(NEEDS));
    say('• packages: all there');
  });
}
