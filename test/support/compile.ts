// The test programs, compiled once into a cache outside the tree; a changed source or flag gives another file.
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {homedir} from 'node:os';
import {basename, join} from 'node:path';
import {checkout} from './checkout';
import {NotMeasured} from './not-measured';
import {run, succeed} from './program';

export const targets = join(checkout, 'test/targets');

export const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'scope-test');

export const C_FLAGS = ['-O2', '-g', '-Wall', '-Wextra', '-Werror', '-pthread', '-D_GNU_SOURCE'];

export const CXX_FLAGS = ['-O2', '-g', '-Wall', '-Wextra', '-Werror', '-pthread', '-std=c++17'];

/** Compilers need more of the environment than programs under test: HOME for Go's caches, proxies of its modules. */
export const environment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );

function sourcesOf(path: string): string[] {
  return statSync(path).isDirectory() ? readdirSync(path).map(name => join(path, name)) : [path];
}

/** Runs `build` with an output folder of its own unless its result is there already; resolves to the result's folder. */
async function cached(
  sources: readonly string[],
  recipe: readonly string[],
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(recipe));
  for (const source of sources) hash.update(basename(source)).update(readFileSync(source));
  const folder = join(cache, hash.digest('hex').slice(0, 20));
  if (existsSync(folder)) return folder;
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, {recursive: true});
  try {
    await build(fresh);
    if (!existsSync(folder)) renameSync(fresh, folder);
  } finally {
    rmSync(fresh, {recursive: true, force: true});
  }
  return folder;
}

/** A tester of test/targets, e.g. "channels.c": the executable's path. */
export async function compileC(
  source: string,
  {
    flags = C_FLAGS,
    libraries = [],
    compiler = 'gcc',
  }: {flags?: readonly string[]; libraries?: readonly string[]; compiler?: string} = {},
): Promise<string> {
  const path = join(targets, source);
  const name = basename(source).replace(/\.(c|cpp|S)$/, '');
  const recipe = [compiler, ...flags, source, ...libraries];
  const folder = await cached([path, join(targets, 'tester.h')], recipe, async out => {
    await succeed(compiler, [...flags, '-o', join(out, name), path, ...libraries], {env: environment()});
  });
  return join(folder, name);
}

export const compileThirtyTwoBit = (): Promise<string> =>
  compileC('thirty-two.c', {flags: ['-m32', '-O1', '-nostdlib', '-static', '-fno-pic', '-fno-stack-protector']});

export const compileWithoutSites = (): Promise<string> => compileC('no-sites.S', {flags: ['-nostdlib', '-static']});

export interface GoOptions {
  /** Default false: a static program. True: dynamic, with the C library's resolver. */
  readonly cgo?: boolean;
  /** Without symbols and debug information, as most images carry them. */
  readonly stripped?: boolean;
  /** As a position-independent executable. */
  readonly pie?: boolean;
  /** With the C library linked in; needs cgo. */
  readonly linked?: boolean;
  /** The names of the functions that system calls pass through are others, as obfuscators make them. */
  readonly garbled?: boolean;
  /** Another release than the one installed, e.g. "go1.20.14"; NotMeasured where it can't be had. */
  readonly toolchain?: string;
}

/** Of the same length: nothing in the file moves. */
const GARBLED = {RawSyscall6: 'Qv7xTz0mKpe', Syscall6: 'Wk3Jq9Lm', rawVforkSyscall: 'hTq0wLzPxVbNcRd'};

function garble(file: string): void {
  let bytes = readFileSync(file, 'latin1');
  for (const [name, other] of Object.entries(GARBLED)) {
    if (!bytes.includes(name) && name !== 'rawVforkSyscall') throw new Error(`${file} does not name ${name}`);
    bytes = bytes.replaceAll(name, other);
  }
  writeFileSync(file, bytes, 'latin1');
}

/** A Go program of test/targets, e.g. "go-server". */
export async function compileGo(name: string, options: GoOptions = {}): Promise<string> {
  const {cgo = false, stripped = false, pie = false, linked = false, garbled = false, toolchain = 'local'} = options;
  const path = join(targets, name);
  const version = await goVersion(toolchain);
  const linker = [
    ...(stripped ? ['-s', '-w'] : []),
    ...(linked ? ['-linkmode', 'external', '-extldflags', '-static'] : []),
  ];
  const flags = [
    ...(cgo ? ['-tags', 'netcgo'] : []),
    ...(pie ? ['-buildmode=pie'] : []),
    ...(linker.length > 0 ? ['-ldflags', linker.join(' ')] : []),
  ];
  const recipe = ['go', version, String(cgo), ...flags, ...(garbled ? [JSON.stringify(GARBLED)] : [])];
  const folder = await cached(sourcesOf(path), recipe, async out => {
    if (toolchain !== 'local') {
      const older = join(out, 'go.mod');
      writeFileSync(older, `module scope.test/${name}\n\ngo 1.20\n`);
      flags.push(`-modfile=${older}`);
    }
    await succeed('go', ['build', ...flags, '-o', join(out, name), '.'], {
      cwd: path,
      env: {...environment(), CGO_ENABLED: cgo ? '1' : '0', GOTOOLCHAIN: toolchain, GOFLAGS: '-buildvcs=false'},
      timeoutMs: 300_000,
    });
    if (garbled) garble(join(out, name));
  });
  return join(folder, name);
}

/** What `go version` says of a release, which Go itself fetches where it is not the one installed. */
export async function goVersion(toolchain = 'local'): Promise<string> {
  const options = {env: {...environment(), GOTOOLCHAIN: toolchain}, timeoutMs: 300_000};
  const {code, stdout, stderr} = await run('go', ['version'], options);
  if (code !== 0) throw new NotMeasured(`${toolchain} can't be had: ${stderr.trim()}`);
  return stdout;
}

/** A Rust program of test/targets, e.g. "server.rs", by plain rustc; NotMeasured where its target can't be had. */
export async function compileRust(
  source: string,
  target: 'x86_64-unknown-linux-gnu' | 'x86_64-unknown-linux-musl',
  {stripped = false}: {stripped?: boolean} = {},
): Promise<string> {
  const path = join(targets, source);
  const name = basename(source, '.rs');
  const version = await succeed('rustc', ['--version'], {env: environment()});
  const flags = ['--edition', '2021', '-O', '--target', target, ...(stripped ? ['-C', 'strip=symbols'] : [])];
  const folder = await cached([path], ['rustc', version, ...flags], async out => {
    const libraries = join(
      (await succeed('rustc', ['--print', 'sysroot'], {env: environment()})).trim(),
      'lib/rustlib',
    );
    if (!existsSync(join(libraries, target))) {
      const added = await run('rustup', ['target', 'add', target], {env: environment(), timeoutMs: 300_000}).catch(
        (thrown: unknown) => ({code: 1, stderr: String(thrown)}),
      );
      if (added.code !== 0) throw new NotMeasured(`rustup has no ${target}: ${added.stderr.trim()}`);
    }
    await succeed('rustc', [...flags, '-o', join(out, name), path], {env: environment()});
  });
  return join(folder, name);
}

/** A Java class of test/targets, e.g. "Server.java": the folder for the class path. */
export async function compileJava(source: string): Promise<string> {
  const path = join(targets, source);
  return cached([path], ['javac', source], async out => {
    await succeed('javac', ['-d', out, path], {env: environment()});
  });
}

/** An example of the decoder's crate, with the flags of the product. cargo knows itself what is current. */
export async function compileDecoderExample(name: string): Promise<string> {
  const native = join(checkout, 'native');
  const args = ['build', '--release', '--quiet', '--locked', '-p', 'scope-decoder', '--example', name];
  await succeed('cargo', args, {cwd: native, env: environment(), timeoutMs: 600_000});
  return join(process.env.CARGO_TARGET_DIR ?? join(native, 'target'), 'release/examples', name);
}
