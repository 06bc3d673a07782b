// libuv's own tests (Debian's source package), built with a C library each: files, pipes, sockets, signals, threads, timers and
// children, straight on the library. They refuse to run as root.
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {cache} from '../support/compile';
import {NotMeasured} from '../support/not-measured';
import {run, succeed} from '../support/program';
import {debianFiles, fileIn} from './debian-files';
import {tapOutcomes} from './outcomes';
import type {Suite} from './suite';

/** The kernel's headers, which musl-gcc does not look for. */
const HEADERS = '-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu';
const NOBODY = 65534;

export function libuvSuite(name: string, compiler: 'gcc' | 'musl-gcc'): Suite {
  return {
    name,
    part: `all, built with ${compiler}`,
    minutes: 8,
    prepare: async work => {
      const built = await build(compiler);
      // The user that runs it can't see into root's folders.
      for (const folder of [work, dirname(work)]) chmodSync(folder, 0o755);
      copyFileSync(join(built, 'uv_run_tests'), join(work, 'uv_run_tests'));
      cpSync(join(built, 'fixtures'), join(work, 'test/fixtures'), {recursive: true});
      for (const path of ['', ...readdirSync(work, {recursive: true, encoding: 'utf8'})]) {
        chownSync(join(work, path), NOBODY, NOBODY);
      }
      const version = /_([^_]+)\.orig/.exec(fileIn(dirname(built), /\.orig\.tar/))?.[1] ?? '';
      const user = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
      return {
        version,
        argv: [...user, './uv_run_tests'],
        cwd: work,
        // Its five seconds a test are short for a hundred births that are scoped each, where others use the machine too.
        env: {HOME: work, TMPDIR: work, UV_TEST_TIMEOUT_MULTIPLIER: '4'},
        outcomes: tapOutcomes,
      };
    },
  };
}

/** Folder with uv_run_tests and the files that it reads. */
async function build(compiler: string): Promise<string> {
  for (const program of ['cmake', compiler]) {
    if ((await run('sh', ['-c', `command -v ${program}`])).code !== 0)
      throw new NotMeasured(`libuv's tests need ${program}: apt-get install cmake musl-tools`);
  }
  const folder = await debianFiles('source', 'libuv1');
  const built = join(folder, compiler);
  if (existsSync(built)) return built;
  const fresh = join(cache, 'suites', `libuv-${compiler}.${process.pid}`);
  const source = join(fresh, 'source');
  mkdirSync(source, {recursive: true});
  try {
    await succeed('tar', ['-xf', fileIn(folder, /\.orig\.tar/), '--strip-components=1', '-C', source]);
    const flags = [`-DCMAKE_C_COMPILER=${compiler}`, `-DCMAKE_C_FLAGS=${HEADERS}`, '-DCMAKE_BUILD_TYPE=Release'];
    await succeed('cmake', ['-S', source, '-B', join(fresh, 'build'), ...flags]);
    await succeed('make', ['-C', join(fresh, 'build'), 'uv_run_tests_a'], {timeoutMs: 400_000});
    mkdirSync(join(fresh, 'result'));
    copyFileSync(join(fresh, 'build/uv_run_tests_a'), join(fresh, 'result/uv_run_tests'));
    cpSync(join(source, 'test/fixtures'), join(fresh, 'result/fixtures'), {recursive: true});
    renameSync(join(fresh, 'result'), built);
  } finally {
    rmSync(fresh, {recursive: true, force: true});
  }
  return built;
}
