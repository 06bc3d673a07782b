// CPython's own tests, by Debian's packages of it: the interpreter and its library unpacked beside them, so that all are of one
// version.
import {existsSync, readFileSync, readdirSync, renameSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {succeed} from '../support/program';
import {debianFiles} from './debian-files';
import {junitOutcomes} from './outcomes';
import type {Suite} from './suite';

const PACKAGES = ['libpython3.11-testsuite', 'libpython3.11-stdlib', 'libpython3.11-minimal', 'python3.11-minimal'];
/** Hangs without a scope as well, where the machine is a guest without a device for it. */
const IGNORED = '*VSOCK*';

export function cpythonSuite(name: string, modules: readonly string[], pattern?: string): Suite {
  return {
    name,
    part: pattern === undefined ? modules.join(', ') : `${pattern} of ${modules.join(', ')}`,
    minutes: 8,
    prepare: async work => {
      const folder = await debianFiles('download', ...PACKAGES);
      const root = join(folder, 'root');
      if (!existsSync(root)) {
        const fresh = `${root}.${process.pid}`;
        for (const file of readdirSync(folder).filter(path => path.endsWith('.deb'))) {
          await succeed('dpkg-deb', ['-x', join(folder, file), fresh]);
        }
        if (existsSync(root)) rmSync(fresh, {recursive: true});
        else renameSync(fresh, root);
      }
      const python = join(root, 'usr/bin/python3.11');
      const env = {PYTHONHOME: join(root, 'usr')};
      const said = await succeed(python, ['--version'], {env});
      const report = join(work, 'report.xml');
      const match = pattern === undefined ? [] : ['-m', pattern];
      return {
        version: said.replace('Python ', '').trim(),
        argv: [python, '-m', 'test', '--junit-xml', report, '-i', IGNORED, ...match, ...modules],
        cwd: work,
        env,
        crashCodes: [1, 4, 130], // an exception of its own, no test, an interrupt
        outcomes: () => {
          if (!existsSync(report)) return new Map();
          const xml = readFileSync(report, 'utf8');
          rmSync(report); // The next run's is another one.
          return junitOutcomes(xml);
        },
      };
    },
  };
}
