// C programs with every C library that the injector knows: this machine's, and those of other Debian releases, which the
// program names as its interpreter, so that it runs as it would at home.
import {lstatSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {C_FLAGS, compileC} from './compile';
import type {Suite} from './debian';
import {suiteRoot} from './debian';
import {NotMeasured} from './not-measured';
import {run, succeed} from './program';

export interface CompileOptions {
  readonly flags?: readonly string[];
  readonly libraries?: readonly string[];
  /** g++ and its flags for a .cpp source; only where there is a libstdc++ for the C library. */
  readonly compiler?: string;
}

export interface Libc {
  /** e.g. "glibc 2.41-12+deb13u5"; with what is special: "musl 1.2.3-1, static, stripped". */
  readonly name: string;
  /** Compiles a tester of test/targets against it: the executable's path. */
  readonly compile: (source: string, options?: CompileOptions) => Promise<string>;
}

const MULTIARCH = 'usr/lib/x86_64-linux-gnu';

const withFlags =
  (compiler: string, ...own: readonly string[]): Libc['compile'] =>
  (source, {flags = [], libraries = [], compiler: other} = {}) =>
    compileC(source, {compiler: other ?? compiler, flags: [...C_FLAGS, ...own, ...flags], libraries});

/** Until 2.33 the file's name held the version. Links may lead to where it would be at home. */
function loaderIn(folder: string): string {
  const name = readdirSync(folder).find(
    entry => /^ld-(2\.\d+|linux-x86-64)\.so/.test(entry) && isFile(join(folder, entry)),
  );
  if (name === undefined) throw new Error(`${folder} holds no loader of programs`);
  return join(folder, name);
}

const isFile = (path: string): boolean => lstatSync(path).isFile();

/** glibc of another release: its headers, its start files, its loader. */
async function glibcOf(suite: Suite): Promise<Libc> {
  const {root, versions} = await suiteRoot(suite);
  const libraries = join(root, MULTIARCH);
  return {
    name: `glibc ${versions.libc6 ?? ''}`,
    compile: withFlags(
      'gcc',
      `--sysroot=${root}`,
      `-B${libraries}/`,
      `-L${libraries}`,
      `-Wl,--dynamic-linker=${loaderIn(libraries)}`,
      `-Wl,-rpath,${libraries}`,
    ),
  };
}

/** musl of another release, under a program that was built with this machine's. */
async function muslOf(suite: Suite): Promise<Libc> {
  const {root, versions} = await suiteRoot(suite);
  const folder = join(root, 'usr/lib/x86_64-linux-musl');
  return {
    name: `musl ${versions.musl ?? ''}`,
    compile: withFlags('musl-gcc', ...MUSL_HEADERS, `-Wl,--dynamic-linker=${join(folder, 'libc.so')}`),
  };
}

/** musl has no headers of the kernel's: this machine's, after its own. */
const MUSL_HEADERS = ['-idirafter', '/usr/include', '-idirafter', '/usr/include/x86_64-linux-gnu'];

async function ownGlibc(): Promise<string> {
  const version = /GLIBC ([^)]+)\)/.exec(await succeed('ldd', ['--version']))?.[1];
  return `glibc ${version ?? 'of an unknown version'}`;
}

async function ownMusl(): Promise<string> {
  const {code, stdout} = await run('dpkg-query', ['-W', '-f', '${Version}', 'musl']);
  if (code !== 0) throw new NotMeasured('musl is not installed: apt-get install musl-tools');
  return `musl ${stdout.trim()}`;
}

const variant = async (of: Promise<string>, what: string, compile: Libc['compile']): Promise<Libc> => ({
  name: what === '' ? await of : `${await of}, ${what}`,
  compile,
});

/**
 * Each by a word that does not change with the machine. A promise rejects with NotMeasured where the library can't be had.
 */
export const libcs = {
  glibc: () => variant(ownGlibc(), '', withFlags('gcc')),
  'glibc-bullseye': () => glibcOf('bullseye'),
  'glibc-trixie': () => glibcOf('trixie'),
  'glibc-sid': () => glibcOf('sid'),
  'glibc-static': () => variant(ownGlibc(), 'static', withFlags('gcc', '-static')),
  'glibc-static-stripped': () => variant(ownGlibc(), 'static, stripped', withFlags('gcc', '-static', '-s')),
  'glibc-static-pie': () => variant(ownGlibc(), 'static-pie', withFlags('gcc', '-static-pie')),
  musl: () => variant(ownMusl(), '', withFlags('musl-gcc', ...MUSL_HEADERS)),
  'musl-bullseye': () => muslOf('bullseye'),
  'musl-trixie': () => muslOf('trixie'),
  'musl-sid': () => muslOf('sid'),
  'musl-static': () => variant(ownMusl(), 'static', withFlags('musl-gcc', ...MUSL_HEADERS, '-static')),
  'musl-static-stripped': () =>
    variant(ownMusl(), 'static, stripped', withFlags('musl-gcc', ...MUSL_HEADERS, '-static', '-s')),
} as const satisfies Readonly<Record<string, () => Promise<Libc>>>;

export type LibcName = keyof typeof libcs;
