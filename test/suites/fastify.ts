// fastify's own tests, which its package brings: Node's http, http2, https, streams and workers under a server's 1,700 tests.
import {existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {cache} from '../support/compile';
import {NotMeasured} from '../support/not-measured';
import {run} from '../support/program';
import {tapOutcomes} from './outcomes';
import type {Suite} from './suite';

const VERSION = '5.11.3';
/** What its tests ask for beside what it needs itself. */
const TOOLS = [
  ...[
    '@sinonjs/fake-timers@11',
    'JSONStream@1',
    'ajv@8',
    'ajv-errors@3',
    'ajv-formats@3',
    'ajv-i18n@4',
    'ajv-merge-patch@5',
  ],
  ...[
    'fast-json-body@1',
    'fastify-plugin@6',
    'fluent-json-schema@6',
    'form-data@4',
    'h2url@0.2',
    'http-errors@2',
    'joi@18',
  ],
  ...['node-forge@1', 'proxyquire@2', 'split2@4', 'undici@7', 'vary@1', 'yup@1'],
];

export function fastifySuite(name: string): Suite {
  return {
    name,
    part: 'test/*.test.js',
    minutes: 10,
    prepare: async () => {
      const root = join(await installed(), 'node_modules/fastify');
      const files = readdirSync(join(root, 'test')).filter(file => file.endsWith('.test.js'));
      return {
        version: `${VERSION} on Node ${process.versions.node}`,
        argv: [
          process.execPath,
          '--test',
          '--test-concurrency=1',
          '--test-reporter=tap',
          ...files.map(file => `test/${file}`),
        ],
        cwd: root,
        env: {},
        outcomes: tapOutcomes,
      };
    },
  };
}

async function installed(): Promise<string> {
  const folder = join(cache, 'suites', `fastify-${VERSION}`);
  if (existsSync(folder)) return folder;
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, {recursive: true});
  try {
    writeFileSync(join(fresh, 'package.json'), '{"private":true}\n');
    const env = Object.fromEntries(Object.entries(process.env).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])));
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const {code, stderr} = await run('npm', ['install', ...flags, `fastify@${VERSION}`, ...TOOLS], {cwd: fresh, env});
    if (code !== 0) throw new NotMeasured(`fastify ${VERSION} can't be had: ${stderr.trim().split('\n').at(-1) ?? ''}`);
    mkdirSync(dirname(folder), {recursive: true});
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, {recursive: true, force: true});
  }
  return folder;
}
