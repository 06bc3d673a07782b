// Packages of the installed Go's standard library, with their own tests.
import {existsSync, mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {cache} from '../support/compile';
import {NotMeasured} from '../support/not-measured';
import {run, succeed} from '../support/program';
import {goOutcomes} from './outcomes';
import type {Suite} from './suite';

/** Those run the go tool over and over: compilers, not the package. And strace, of which a traced process allows none. */
const NOT_OF_THE_PACKAGE = 'TestOmitHTTP2Vet|TestCmdGoNoHTTPServer|TestLinuxSendfile';

export function goSuite(name: string, what: string, pattern?: string): Suite {
  return {
    name,
    part: pattern === undefined ? 'all, -short' : `${pattern}, -short`,
    minutes: 8,
    prepare: async () => {
      const {stdout, code} = await run('go', ['env', 'GOROOT', 'GOVERSION']);
      const [root = '', version = ''] = stdout.trim().split('\n');
      const source = join(root, 'src', what);
      if (code !== 0 || !existsSync(source)) throw new NotMeasured(`${source} is not there`);
      const folder = join(cache, 'suites', version);
      const program = join(folder, `${what.replaceAll('/', '-')}.test`);
      mkdirSync(folder, {recursive: true});
      const env = Object.fromEntries(
        Object.entries(process.env).flatMap(([k, v]) => (v === undefined ? [] : [[k, v]])),
      );
      if (!existsSync(program)) await succeed('go', ['test', '-c', '-o', program, what], {env, timeoutMs: 600_000});
      const flags = ['-test.short', '-test.v', `-test.skip=${NOT_OF_THE_PACKAGE}`, '-test.timeout=7m'];
      return {
        version: version.replace(/^go/, ''),
        argv: [program, ...flags, ...(pattern === undefined ? [] : [`-test.run=${pattern}`])],
        cwd: source,
        env: {},
        crashCodes: [2], // a panic, or its time was up
        outcomes: goOutcomes,
      };
    },
  };
}
