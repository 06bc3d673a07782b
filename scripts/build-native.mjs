// npm run build:native: dist/native/scope-inject (Rust, static) and dist/native/scope.node (the decoder in Rust, behind
// a skin in C++). Node's own modules only. What is up to date, by a hash of its inputs, is left alone.
import {chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync} from 'node:fs';
import {join} from 'node:path';
import {Stamps} from './lib/stamps.mjs';
import {StepError, output, root, run, say, script} from './lib/steps.mjs';

const native = join(root, 'native');
const dist = join(root, 'dist/native');
const decoderLibrary = join(native, 'target/release/libscope_decoder.a');
const RUST = {major: 1, minor: 85};

/** By what is needed: the Debian package, and what it is for. */
const TOOLS = {
  cc: ['gcc', 'compiles the payload'],
  'g++': ['g++', 'compiles the addon'],
  ld: ['binutils', 'links the payload'],
  objcopy: ['binutils', 'makes the payload a flat image, takes debug information out of what is shipped'],
};

const RUST_INPUTS = ['native/Cargo.toml', 'native/Cargo.lock', 'native/abi'];

const parts = [
  {
    name: 'injector',
    inputs: [...RUST_INPUTS, 'native/injector', 'native/payload'],
    output: join(dist, 'scope-inject'),
    build() {
      // Its own .cargo/config.toml makes it static: cargo reads it from the folder it is started in.
      cargo('injector', join(native, 'injector'), []);
      install(join(native, 'target/x86_64-unknown-linux-gnu/release/scope-inject'), this.output);
      chmodSync(this.output, 0o755);
    },
  },
  {
    name: 'decoder',
    inputs: [...RUST_INPUTS, 'native/decoder'],
    output: decoderLibrary,
    build() {
      cargo('decoder', native, ['-p', 'scope-decoder']);
    },
  },
  {
    name: 'addon',
    inputs: [...RUST_INPUTS, 'native/decoder', 'native/addon', 'node_modules/node-addon-api/package.json'],
    output: join(dist, 'scope.node'),
    build() {
      compileAddon(this.output);
    },
  },
];

await script(() => {
  mkdirSync(dist, {recursive: true});
  const stamps = new Stamps(join(native, 'target/scope-stamps'), readFileSync(import.meta.filename));
  const stale = parts.filter(part => !stamps.isCurrent(part));
  if (stale.length === 0) {
    say('• native parts: up to date');
    return;
  }
  checkTools();
  for (const part of stale) {
    // Taken before: what is edited during the build makes the next one build again.
    const hash = stamps.hash(part);
    part.build();
    stamps.write(part, hash);
  }
});

function cargo(what, cwd, more) {
  const locked = existsSync(join(native, 'Cargo.lock')) ? ['--locked'] : [];
  run(what, 'cargo', ['build', '--release', '--quiet', ...locked, ...more], {cwd});
}

function compileAddon(target) {
  const headers = ['node_modules/node-api-headers/include', 'node_modules/node-addon-api'];
  const missing = headers.find(folder => !existsSync(join(root, folder)));
  if (missing) throw new StepError(`addon: there is no ${missing}. Run \`npm ci\` first.`);
  const fresh = `${target}.new`;
  run('addon', 'g++', [
    ...[
      '-std=c++17',
      '-O2',
      '-g1',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-fPIC',
      '-fvisibility=hidden',
      '-fstack-protector-strong',
    ],
    ...['-DNAPI_VERSION=9', '-DNODE_ADDON_API_CPP_EXCEPTIONS', '-DNODE_ADDON_API_DISABLE_DEPRECATED'],
    ...['-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS', '-DBUILDING_NODE_EXTENSION'],
    ...headers.flatMap(folder => ['-isystem', join(root, folder)]),
    `-I${join(native, 'decoder/include')}`,
    ...['addon.cc', 'hub.cc'].map(name => join(native, 'addon/src', name)),
    decoderLibrary,
    ...['-shared', '-Wl,--gc-sections', '-Wl,--exclude-libs,ALL', '-Wl,-z,relro,-z,now', '-pthread', '-ldl', '-lm'],
    ...['-o', fresh],
  ]);
  strip(fresh);
  renameSync(fresh, target);
}

/** Put in place by a rename: a program that runs from the old file keeps it. */
function install(from, to) {
  const fresh = `${to}.new`;
  copyFileSync(from, fresh);
  strip(fresh);
  renameSync(fresh, to);
}

function strip(path) {
  run(`strip ${path.slice(root.length + 1).replace(/\.new$/, '')}`, 'objcopy', ['--strip-debug', path]);
}

function checkTools() {
  const absent = Object.entries(TOOLS).filter(([tool]) => output(tool, ['--version']) === undefined);
  if (absent.length > 0) {
    const lines = absent.map(([tool, [debian, use]]) => `  ${tool}: ${use}; Debian package ${debian}`);
    throw new StepError(`What the native parts are built with is missing:\n${lines.join('\n')}`);
  }
  const wanted = `${RUST.major}.${RUST.minor}`;
  const found = output('cargo', ['--version']);
  if (found === undefined) {
    throw new StepError(`cargo is missing: install Rust ${wanted} or newer (https://rustup.rs).`);
  }
  const [, major, minor] = /^cargo (\d+)\.(\d+)/.exec(found) ?? [];
  if (Number(major) < RUST.major || (Number(major) === RUST.major && Number(minor) < RUST.minor)) {
    throw new StepError(`${found} is too old: Rust ${wanted} or newer is needed (rustup update, https://rustup.rs).`);
  }
}
