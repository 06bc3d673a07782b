// Every kind of program that the injector knows, each under load: attached to, counted to the byte against what it counted
// itself, let go, and found as it was. docs/targets.md holds what each showed.
import {homedir} from 'node:os';
import {CXX_FLAGS, compileC, compileGo, compileRust, goVersion} from '../support/compile';
import {libcs} from '../support/libcs';
import type {Measured} from '../support/measure';
import {hasUnseenPreadv, measureServer, measureTester, testerArgs} from '../support/measure';
import {measuredOrSaid} from '../support/not-measured';
import {Program, succeed} from '../support/program';
import {Scope} from '../support/scope';
import {startCompiled} from '../support/servers';
import {Stage} from '../support/stage';
import {TargetsTable} from '../support/targets-page';

const table = new TargetsTable('kinds', {
  program: 'exactly',
  version: 'version',
  'seen as': 'exactly',
  hooked: 'about',
  'calls seen in part': 'exactly for a version',
  'calls not in it, or not seen': 'exactly for a version',
  verdict: 'exactly',
});

const LEAST_BYTES = 100_000;

let agent: Stage;
let scope: Scope;
let stage: Stage;
beforeAll(async () => {
  agent = new Stage();
  scope = await Scope.open(agent);
});
afterAll(async () => {
  await agent.close();
  await table.finish();
});
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

/** What is wrong with a row: with what was measured, and with what the page says of it. */
function faultsOf(what: string, version: string, verdict: string, {coverage, faults}: Measured): string[] {
  const {target, sites, calls} = coverage;
  const list = (names: readonly string[] = []): string => [...names].sort().join(', ');
  const row = [
    what,
    version,
    target?.kind ?? '',
    String(sites?.hooked ?? 0),
    list(calls?.partial.map(({call}) => call)),
    list(calls?.missing),
    faults.length === 0 ? verdict : `FAILED: ${faults[0] ?? ''}`,
  ];
  return [...faults, ...(faults.length === 0 ? table.faults(row) : [])];
}

describe.each(Object.entries(libcs))('a C program with %s', (what, find) => {
  it('every byte that it moved was seen', async () => {
    await measuredOrSaid(what, async () => {
      const libc = await find();
      const file = await libc.compile('ledger.c');
      const folder = stage.folder();
      const program = stage.use(await Program.start(file, {args: testerArgs(folder), cwd: folder, name: 'ledger'}));
      await program.answer('ready');
      const measured = await measureTester(scope, {program, pid: program.pid, folder}, LEAST_BYTES);
      expect(measured.bytes).toBeGreaterThan(LEAST_BYTES);
      const verdict = hasUnseenPreadv(measured.coverage)
        ? 'every byte counted but those by preadv'
        : 'every byte counted';
      expect(faultsOf(what, libc.name, verdict, measured)).toEqual([]);
    });
  });
});

interface Server {
  readonly compile: () => Promise<string>;
  readonly version: () => Promise<string>;
}

const version = (file: string, args: readonly string[], name: string) => async (): Promise<string> => {
  const found = /\d+\.\d+(\.\d+)?/.exec(await succeed(file, args, {env: {HOME: homedir()}}))?.[0];
  return `${name} ${found ?? 'of an unknown version'}`;
};
const go = async (toolchain?: string): Promise<string> =>
  `Go ${/go(\d+\.\d+(\.\d+)?)/.exec(await goVersion(toolchain))?.[1] ?? 'of an unknown version'}`;
/** The oldest that is promised. */
const OLDEST_GO = 'go1.20.14';
const rust = version('rustc', ['--version'], 'rustc');
const cxx = version('g++', ['-dumpfullversion'], 'g++');

const servers: Readonly<Record<string, Server>> = {
  'Go, static': {version: () => go(), compile: () => compileGo('go-server')},
  'Go, static, stripped': {version: () => go(), compile: () => compileGo('go-server', {stripped: true})},
  'Go, cgo': {version: () => go(), compile: () => compileGo('go-server', {cgo: true})},
  'Go, cgo, stripped': {version: () => go(), compile: () => compileGo('go-server', {cgo: true, stripped: true})},
  'Go, cgo, linked statically': {version: () => go(), compile: () => compileGo('go-server', {cgo: true, linked: true})},
  'Go, PIE, stripped': {version: () => go(), compile: () => compileGo('go-server', {pie: true, stripped: true})},
  'Go, names garbled': {version: () => go(), compile: () => compileGo('go-server', {stripped: true, garbled: true})},
  'Go 1.20, static': {
    version: () => go(OLDEST_GO),
    compile: () => compileGo('go-server', {toolchain: OLDEST_GO}),
  },
  'Go 1.20, cgo': {
    version: () => go(OLDEST_GO),
    compile: () => compileGo('go-server', {cgo: true, toolchain: OLDEST_GO}),
  },
  'Rust, glibc': {version: rust, compile: () => compileRust('server.rs', 'x86_64-unknown-linux-gnu')},
  'Rust, glibc, stripped': {
    version: rust,
    compile: () => compileRust('server.rs', 'x86_64-unknown-linux-gnu', {stripped: true}),
  },
  'Rust, musl': {version: rust, compile: () => compileRust('server.rs', 'x86_64-unknown-linux-musl')},
  'Rust, musl, stripped': {
    version: rust,
    compile: () => compileRust('server.rs', 'x86_64-unknown-linux-musl', {stripped: true}),
  },
  'C++, exceptions': {version: cxx, compile: () => compileC('server.cpp', {compiler: 'g++', flags: CXX_FLAGS})},
  'C++, exceptions, static': {
    version: cxx,
    compile: () => compileC('server.cpp', {compiler: 'g++', flags: [...CXX_FLAGS, '-static']}),
  },
  'C++, exceptions, stripped': {
    version: cxx,
    compile: () => compileC('server.cpp', {compiler: 'g++', flags: [...CXX_FLAGS, '-s']}),
  },
};

describe.each(Object.entries(servers))('a server: %s', (what, {compile, version: toolchain}) => {
  it('every exchange was seen once, and every byte counted', async () => {
    await measuredOrSaid(what, async () => {
      const server = await startCompiled(stage, 'kind', await compile());
      const measured = await measureServer(scope, server);
      expect(measured.bytes).toBeGreaterThan(100_000);
      expect(faultsOf(what, await toolchain(), 'every exchange and byte counted', measured)).toEqual([]);
    });
  });
});
