// What the planner finds in a program file, held against test/golden/plans.json: the same file must give the same plan to
// the last site, with the reason for each that is left out, and in a newer build no call may be seen worse than it was: none
// that was hooked everywhere may be so in part, none that was seen may be missing.
import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkout, product} from './checkout';
import {cache} from './compile';
import {NotMeasured} from './not-measured';
import {succeed} from './program';

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

const known = (): Record<string, Plan> =>
  existsSync(golden) ? (JSON.parse(readFileSync(golden, 'utf8')) as Record<string, Plan>) : {};

/** A server of Go's own net/http, built by one release of Go; `local` is the one that is installed. */
export async function builtByGo(toolchain: string): Promise<string> {
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

async function planOf(path: string): Promise<Plan> {
  const file = realpathSync(path);
  const {kind, sites, hooks, calls} = JSON.parse(await succeed(product.injector(), ['plan', '--file', file])) as Reply;
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

/**
 * The file's plan is the golden one of this name, or, for a newer build of the file, no worse.
 * With UPDATE_GOLDEN set, it becomes the golden one.
 */
export async function expectGoldenPlan(name: string, path: string): Promise<void> {
  const plan = await planOf(path);
  const plans = known();
  if (updates) {
    writeFileSync(golden, `${JSON.stringify({...plans, [name]: plan}, undefined, 2)}\n`);
    return;
  }
  const before = plans[name];
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
}
