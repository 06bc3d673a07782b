// What the planner finds in real builds of C libraries and Go, held against what it found before: the same file must give
// the same plan to the last site, with the reason for each that is left out, and in a newer build no call may be seen worse
// than it was: none that was hooked everywhere may be so in part, none that was seen may be missing.
//
//   UPDATE_GOLDEN=1 npx jest --selectProjects integration --testPathPatterns planner     writes test/golden/plans.json
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, readFileSync, readdirSync, realpathSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkout} from '../support/checkout';
import {cache} from '../support/compile';
import type {Suite} from '../support/debian';
import {suiteRoot} from '../support/debian';
import {NotMeasured} from '../support/not-measured';
import {succeed} from '../support/program';

/** A call that is not hooked at all its places, and why: one line for each that is not. */
interface Partial {
  readonly call: string;
  readonly why: readonly string[];
}

interface Plan {
  readonly sha256: string;
  readonly kind: string;
  readonly found: number;
  readonly hooks: Readonly<Record<string, number>>;
  /** Places without a hook, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly hooked: readonly string[];
  readonly partial: readonly Partial[];
  readonly missing: readonly string[];
  readonly memoryFollowed: boolean;
}

interface Reply {
  readonly kind: string;
  readonly sites: {
    readonly found: number;
    readonly skipped: readonly {readonly reason: string; readonly count: number}[];
  };
  readonly hooks: Readonly<Record<string, number>>;
  readonly calls: {
    readonly hooked: readonly string[];
    readonly partial: readonly Partial[];
    readonly missing: readonly string[];
    readonly memoryFollowed: boolean;
  };
}

const golden = join(checkout, 'test/golden/plans.json');
const updates = process.env.UPDATE_GOLDEN !== undefined;
const known = existsSync(golden) ? (JSON.parse(readFileSync(golden, 'utf8')) as Record<string, Plan>) : {};
const now: Record<string, Plan> = {};

const GLIBC = 'usr/lib/x86_64-linux-gnu/libc.so.6';
/** Until 2.34 most calls that wait were twice: in libc and in here. */
const PTHREAD = 'usr/lib/x86_64-linux-gnu/libpthread.so.0';
const MUSL = 'usr/lib/x86_64-linux-musl/libc.so';
/** The oldest that this project promises, two between, and the one that is installed. */
const GO: readonly string[] = ['go1.20.14', 'go1.22.12', 'local'];

const ofSuite = (suite: Suite, path: string) => async (): Promise<string> => join((await suiteRoot(suite)).root, path);

/** A server of Go's own net/http, built by one release of Go. */
async function builtByGo(toolchain: string): Promise<string> {
  const folder = join(cache, `planner-${toolchain}`);
  const program = join(folder, 'server');
  if (toolchain !== 'local' && existsSync(program)) return program;
  mkdirSync(folder, {recursive: true});
  writeFileSync(join(folder, 'go.mod'), 'module probe\n\ngo 1.20\n');
  writeFileSync(
    join(folder, 'main.go'),
    'package main\n\nimport "net/http"\n\nfunc main() { _ = http.ListenAndServe("127.0.0.1:0", nil) }\n',
  );
  const env: Record<string, string> = {GOTOOLCHAIN: toolchain, CGO_ENABLED: '0', GOFLAGS: '-mod=mod'};
  for (const [key, value] of Object.entries(process.env)) if (value !== undefined) env[key] ??= value;
  try {
    await succeed('go', ['build', '-trimpath', '-o', program, '.'], {cwd: folder, env});
  } catch (error) {
    throw new NotMeasured(`${toolchain} can't be had: ${String(error)}`);
  }
  return program;
}

function ownMusl(): Promise<string> {
  const path = '/usr/lib/x86_64-linux-musl/libc.so';
  if (!existsSync(path)) throw new NotMeasured('musl is not installed: apt-get install musl-tools');
  return Promise.resolve(path);
}

/** The libc that this machine runs. */
function ownLibc(): Promise<string> {
  const folder = ['/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu'].find(path =>
    readdirSync(path).includes('libc.so.6'),
  );
  if (folder === undefined) throw new NotMeasured('this machine has no libc.so.6 where Debian puts it');
  return Promise.resolve(join(folder, 'libc.so.6'));
}

const corpus: Readonly<Record<string, () => Promise<string>>> = {
  'glibc of this machine': ownLibc,
  'glibc of bullseye': ofSuite('bullseye', GLIBC),
  'libpthread of bullseye': ofSuite('bullseye', PTHREAD),
  'glibc of trixie': ofSuite('trixie', GLIBC),
  'glibc of sid': ofSuite('sid', GLIBC),
  'musl of this machine': ownMusl,
  'musl of bullseye': ofSuite('bullseye', MUSL),
  'musl of trixie': ofSuite('trixie', MUSL),
  'musl of sid': ofSuite('sid', MUSL),
  'static busybox of bullseye': ofSuite('bullseye', 'bin/busybox'),
  'static busybox of trixie': ofSuite('trixie', 'usr/bin/busybox'),
  ...Object.fromEntries(GO.map(toolchain => [`Go, ${toolchain}`, () => builtByGo(toolchain)])),
};

async function planOf(path: string): Promise<Plan> {
  const file = realpathSync(path);
  const {kind, sites, hooks, calls} = JSON.parse(
    await succeed(join(checkout, 'dist/native/scope-inject'), ['plan', '--file', file]),
  ) as Reply;
  return {
    sha256: createHash('sha256').update(readFileSync(file)).digest('hex'),
    kind,
    found: sites.found,
    hooks,
    skipped: Object.fromEntries(
      [...sites.skipped]
        .sort((a, b) => (a.reason < b.reason ? -1 : 1))
        .map(({reason, count}) => [reason, count] as const),
    ),
    hooked: [...calls.hooked].sort(),
    partial: calls.partial.map(({call, why}) => ({call, why})).sort((a, b) => (a.call < b.call ? -1 : 1)),
    missing: [...calls.missing].sort(),
    memoryFollowed: calls.memoryFollowed,
  };
}

it.each(Object.entries(corpus))(
  '%s',
  async (name, find) => {
    const plan = await planOf(await find());
    now[name] = plan;
    if (updates) return;
    const before = known[name];
    if (before === undefined) throw new Error(`${name} has no plan in ${golden}: run this with UPDATE_GOLDEN=1`);
    if (before.sha256 === plan.sha256) {
      expect(plan).toEqual(before);
      return;
    }
    // A newer build of it: sites move, but no call may be seen worse. Where one comes to lie across two pages, or is
    // compiled to something that leaves no room, its reason is told here, and a person says that it can't be helped.
    expect(plan.memoryFollowed).toBe(before.memoryFollowed);
    expect(plan.partial.filter(({call}) => before.hooked.includes(call))).toEqual([]);
    const seen = new Set([...plan.hooked, ...plan.partial.map(({call}) => call)]);
    const wasSeen = [...before.hooked, ...before.partial.map(({call}) => call)];
    expect(wasSeen.filter(call => !seen.has(call))).toEqual([]);
  },
  300_000,
);

afterAll(() => {
  if (updates) writeFileSync(golden, `${JSON.stringify(now, undefined, 2)}\n`);
});
