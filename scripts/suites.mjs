// npm run suites [-- [--update] [NAME...]]: the own test suites of Go, CPython, fastify, libuv and redis, without a scope and scoped for their
// whole life, every event on; a table of what differs. Exit code 1 where a test fails that passes without.
//   NAME       only this one: go-net, go-http, cpython-socket, cpython-io, cpython-subprocess, node-fastify, libuv-glibc, libuv-musl, redis,
//              redis-replication
//   --update   writes docs/suites.md
// What they need is fetched into ~/.cache/scope-test. Takes half an hour; needs root.
import './lib/node-version.mjs';
import {parseArgs} from 'node:util';
import {join} from 'node:path';
import {ensurePackages} from './ensure-packages.mjs';
import {root, run, script} from './lib/steps.mjs';

await script(async () => {
  // Looked at before anything is installed; test/suites/main.ts reads them.
  parseArgs({options: {update: {type: 'boolean'}}, allowPositionals: true});
  ensurePackages(['build', 'test', 'suites']);
  run('build', process.execPath, [join(root, 'scripts/build.mjs')]);
  const {runTypeScript} = await import('./lib/typescript.mjs');
  await runTypeScript('test/suites/main.ts');
});
