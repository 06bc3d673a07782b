// redis's own tests (Debian's source package), against the installed redis-server of the same version.
import {mkdirSync, symlinkSync} from 'node:fs';
import {join} from 'node:path';
import {NotMeasured} from '../support/not-measured';
import {run, succeed} from '../support/program';
import {debianFiles, fileIn} from './debian-files';
import {redisOutcomes} from './outcomes';
import type {Suite} from './suite';

const PROGRAMS = [
  'redis-server',
  'redis-cli',
  'redis-benchmark',
  'redis-check-aof',
  'redis-check-rdb',
  'redis-sentinel',
];

export function redisSuite(name: string, units: readonly string[], minutes: number): Suite {
  return {
    name,
    part: units.join(', '),
    minutes,
    prepare: async work => {
      if ((await run('sh', ['-c', 'command -v tclsh && command -v redis-server'])).code !== 0)
        throw new NotMeasured('redis’s tests need redis-server and tcl: apt-get install redis-server tcl');
      const folder = await debianFiles('source', 'redis');
      const root = join(work, 'redis');
      mkdirSync(root);
      await succeed('tar', [
        '-xf',
        fileIn(folder, /\.orig\.tar\.gz$/),
        '--strip-components=1',
        '-C',
        root,
        '--wildcards',
        '*/tests',
        '*/runtest',
        '*/redis.conf',
        '*/sentinel.conf',
        '*/utils',
      ]);
      mkdirSync(join(root, 'src'), {recursive: true});
      for (const program of PROGRAMS) symlinkSync(`/usr/bin/${program}`, join(root, 'src', program));
      const installed = /v=(\S+)/.exec(await succeed('redis-server', ['--version']))?.[1] ?? '';
      const tested = /_([^_]+)\.orig/.exec(fileIn(folder, /\.orig\.tar\.gz$/))?.[1] ?? '';
      if (tested !== installed) throw new NotMeasured(`the installed redis is ${installed}, its tests are ${tested}’s`);
      return {
        version: installed,
        argv: ['./runtest', '--clients', '2', '--dont-clean', ...units.flatMap(unit => ['--single', unit])],
        cwd: root,
        env: {},
        outcomes: redisOutcomes,
      };
    },
  };
}
