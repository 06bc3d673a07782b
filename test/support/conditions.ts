// The conditions under which programs run elsewhere: other users, roots, namespaces, filters and limits. Each starts
// test/targets/ledger.c under one of them.
import {chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, realpathSync, unlinkSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {compileC} from './compile';
import type {Family} from './ledger';
import {libcs} from './libcs';
import type {Tester} from './measure';
import {testerArgs} from './measure';
import {MemoryCgroup} from './memory-cgroup';
import {PidsCgroup} from './pids-cgroup';
import {Program, succeed} from './program';
import type {Stage} from './stage';

const NOBODY = 65_534;
/** What opens nothing while it runs: needs neither a file that could be written, nor a free descriptor. */
const OPEN_ALREADY: readonly Family[] = ['pipe', 'unix', 'tcp', 'udp'];

export interface Condition {
  readonly start: (stage: Stage) => Promise<Tester>;
  /** The refusal's reason, where an attach must be refused. */
  readonly refused?: string;
  /** It is attached to from inside its namespaces, too, as containers are. */
  readonly enter?: boolean;
}

/** The deepest descendant of a process that has one child at most. */
export function innermost(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ');
  return child === undefined || child === '' ? pid : innermost(Number(child));
}

async function plain(stage: Stage, families?: readonly Family[], each?: number, restUs?: number): Promise<Tester> {
  const file = await (await libcs.glibc()).compile('ledger.c');
  const folder = stage.folder();
  const program = stage.use(await Program.start(file, {args: testerArgs(folder, families, each, restUs), cwd: folder}));
  await program.answer('ready', 60_000);
  return {program, pid: program.pid, folder};
}

/** Through test/targets/launch.c. */
async function launched(
  stage: Stage,
  conditions: readonly string[],
  {isStatic = false, families, file: path}: {isStatic?: boolean; families?: readonly Family[]; file?: string} = {},
): Promise<Tester> {
  const launcher = await compileC('launch.c');
  const libc = await (isStatic ? libcs['glibc-static']() : libcs.glibc());
  const file = path ?? (await libc.compile('ledger.c'));
  const folder = stage.folder();
  const args = [...conditions, '--', file, ...testerArgs(folder, families)];
  const program = stage.use(await Program.start(launcher, {args, cwd: folder}));
  await program.answer('ready');
  return {program, pid: innermost(program.pid), folder};
}

/** A folder that holds a dynamic program and its libraries, and nothing else: no /proc, no /dev, no /tmp. */
async function bareRoot(stage: Stage): Promise<string> {
  const root = stage.folder();
  const file = await (await libcs.glibc()).compile('ledger.c');
  const libraries = [...(await succeed('ldd', [file])).matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path ?? '');
  for (const path of libraries) {
    const copy = join(root, path);
    mkdirSync(dirname(copy), {recursive: true});
    copyFileSync(realpathSync(path), copy);
  }
  copyFileSync(file, join(root, 'ledger'));
  return root;
}

async function asNobody(stage: Stage): Promise<Tester> {
  const folder = realpathSync(stage.folder());
  chmodSync(dirname(folder), 0o755);
  const file = join(folder, 'ledger');
  copyFileSync(await (await libcs.glibc()).compile('ledger.c'), file);
  chownSync(folder, NOBODY, NOBODY);
  const program = stage.use(await Program.start(file, {args: testerArgs(folder), cwd: folder, uid: NOBODY}));
  await program.answer('ready');
  return {program, pid: program.pid, folder};
}

async function deleted(stage: Stage): Promise<Tester> {
  const folder = stage.folder();
  const file = join(folder, 'ledger');
  copyFileSync(await (await libcs.glibc()).compile('ledger.c'), file);
  const program = stage.use(await Program.start(file, {args: testerArgs(folder), cwd: folder}));
  await program.answer('ready');
  unlinkSync(file);
  return {program, pid: program.pid, folder};
}

async function exhausted(stage: Stage, what: 'descriptors' | 'memory'): Promise<Tester> {
  const tester = await plain(stage, OPEN_ALREADY);
  await tester.program.ask(`exhaust ${what}`, 'exhausted');
  return tester;
}

/** What the tester's own pipe may take while it moves bytes; an attach takes more. */
const ROOM_BYTES = 112 << 10;

async function atMemoryLimit(stage: Stage): Promise<Tester> {
  const group = stage.use(new MemoryCgroup());
  const tester = await plain(stage, ['pipe']);
  group.add(tester.pid);
  // What it needs once it has touched before the limit is set.
  await tester.program.ask('fill 500', 'filled');
  await tester.program.ask('run', 'running');
  await sleep(100);
  await tester.program.ask('pause', 'paused');
  group.limitBytes = group.usageBytes + ROOM_BYTES;
  return tester;
}

/** No task can be made in its group: an attach must need none, also where it enters the tester's namespaces. */
async function atTaskLimit(stage: Stage): Promise<Tester> {
  const group = stage.use(new PidsCgroup());
  const tester = await launched(stage, ['namespaces']);
  group.add(tester.pid);
  group.fill();
  return tester;
}

export const conditions: Readonly<Record<string, Condition>> = {
  'another user, without capabilities': {start: asNobody},
  'its executable is deleted': {start: deleted},
  'a read-only root of its own, without /proc and /dev': {
    start: async stage => launched(stage, [`root=${await bareRoot(stage)}`], {families: OPEN_ALREADY, file: '/ledger'}),
  },
  'user, mount, PID, network, IPC and UTS namespaces of its own': {start: stage => launched(stage, ['namespaces'])},
  'the seccomp filter of containers': {start: stage => launched(stage, ['seccomp=default'])},
  'a seccomp filter that kills for memfd_create and for mapping code': {
    start: stage => launched(stage, ['seccomp=kill'], {isStatic: true}),
  },
  // It forbids to make memory executable that was not from the beginning; the code of the hooks is.
  PR_SET_MDWE: {start: stage => launched(stage, ['mdwe'])},
  'RLIMIT_NOFILE used up': {start: stage => exhausted(stage, 'descriptors'), refused: 'MemoryMapRefused'},
  'RLIMIT_AS used up': {start: stage => exhausted(stage, 'memory'), refused: 'MemoryMapRefused'},
  'a memory cgroup at its limit': {start: atMemoryLimit, refused: 'MemoryMapRefused'},
  'a pids cgroup at its limit, in namespaces of its own': {start: atTaskLimit, enter: true},
  'two threads': {start: stage => plain(stage, ['udp'])},
  'a thousand threads': {start: stage => plain(stage, ['pipe', 'unix'], 250, 60_000)},
};
