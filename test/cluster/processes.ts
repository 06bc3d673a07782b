import {spawn} from 'node:child_process';
import {closeSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Layout} from './layout';
import {until} from './shell';

/** A process that outlives this program, found again by its pid and, since pids are reused, its start time. */
interface ProcessRecord {
  readonly name: string;
  readonly pid: number;
  readonly startTicks: string;
}

const recordDir = (layout: Layout): string => join(layout.dir, 'pids');
export const logFile = (layout: Layout, name: string): string => join(layout.dir, 'log', `${name}.log`);

/** Field 22 of /proc/PID/stat (proc(5)): clock ticks after boot at which it started; undefined when there is no such process. */
export function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Starts a program in its own session inside the cluster's network namespace, output to its log, pid recorded. */
export function startProcess(layout: Layout, name: string, program: string, args: readonly string[]): number {
  mkdirSync(recordDir(layout), {recursive: true});
  mkdirSync(join(layout.dir, 'log'), {recursive: true});
  const log = openSync(logFile(layout, name), 'a');
  // nsenter and not `ip netns exec`: that one remounts /sys, and the kubelet then finds no cgroups.
  const child = spawn('nsenter', [`--net=/var/run/netns/${layout.netns}`, program, ...args], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  child.unref();
  const ticks = child.pid === undefined ? undefined : startTicks(child.pid);
  if (child.pid === undefined || ticks === undefined) throw new Error(`${name} (${program}) could not be started`);
  const record: ProcessRecord = {name, pid: child.pid, startTicks: ticks};
  writeFileSync(join(recordDir(layout), `${name}.json`), JSON.stringify(record));
  return child.pid;
}

export function recordedProcesses(layout: Layout): readonly ProcessRecord[] {
  let names: string[];
  try {
    names = readdirSync(recordDir(layout));
  } catch {
    return [];
  }
  return names.map(name => JSON.parse(readFileSync(join(recordDir(layout), name), 'utf8')) as ProcessRecord);
}

export const isAlive = (record: ProcessRecord): boolean => startTicks(record.pid) === record.startTicks;

/** Ends a recorded process: SIGTERM, then after the grace period SIGKILL. Does nothing when it is gone already. */
export async function stopProcess(layout: Layout, name: string, graceMs = 5_000): Promise<void> {
  const record = recordedProcesses(layout).find(candidate => candidate.name === name);
  if (record === undefined) return;
  const gone = (): Promise<true | undefined> => Promise.resolve(isAlive(record) ? undefined : true);
  if (isAlive(record)) {
    signal(record.pid, 'SIGTERM');
    await until(`${name} to end`, graceMs, gone, 50).catch(async () => {
      signal(record.pid, 'SIGKILL');
      await until(`${name} to end after SIGKILL`, 5_000, gone, 50);
    });
  }
  rmSync(join(recordDir(layout), `${name}.json`), {force: true});
}

/** SIGKILL for recorded processes, and nothing else: their records stay, as after any other accident. */
export function killRecorded(layout: Layout, wanted: (name: string) => boolean = () => true): void {
  for (const record of recordedProcesses(layout)) {
    if (wanted(record.name) && isAlive(record)) signal(record.pid, 'SIGKILL');
  }
}

/** Ids of all processes that live. */
export const processIds = (): readonly number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => pid !== process.pid && startTicks(pid) !== undefined);

/** Sends SIGKILL to what `find` finds until it finds nothing any more: what is killed may have started another one before. */
export async function killAndWait(what: string, find: () => readonly number[]): Promise<void> {
  await until(
    `${what} to end`,
    20_000,
    () => {
      const found = find();
      for (const pid of found) signal(pid, 'SIGKILL');
      return Promise.resolve(found.length === 0 || undefined);
    },
    50,
  );
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone meanwhile.
  }
}

/** Processes that name the cluster's folder in their arguments: its daemons and the containers' shims. */
export function processesOf(layout: Layout): readonly {readonly pid: number; readonly command: string}[] {
  return processIds()
    .map(pid => ({pid, command: commandOf(pid)}))
    .filter(({command}) => command.includes(`${layout.dir}/`));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trimEnd();
  } catch {
    return '';
  }
}
