// What the kernel says of a process, read from /proc (proc(5)). Every function throws when the process is gone.
import {readFileSync, readdirSync, readlinkSync} from 'node:fs';

/** One line of /proc/PID/maps. Addresses are bigints. */
export interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  /** e.g. "r-xp" */
  readonly permissions: string;
  readonly offset: bigint;
  readonly inode: string;
  readonly path: string;
}

export function parseMaps(text: string): Mapping[] {
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const match = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ (\d+)\s*(.*)$/.exec(line);
      if (match === null) throw new Error(`a line of maps that makes no sense: ${line}`);
      const [, start = '', end = '', permissions = '', offset = '', inode = '', path = ''] = match;
      return {
        start: BigInt(`0x${start}`),
        end: BigInt(`0x${end}`),
        permissions,
        offset: BigInt(`0x${offset}`),
        inode,
        path,
      };
    });
}

export const maps = (pid: number): Mapping[] => parseMaps(readFileSync(`/proc/${pid}/maps`, 'latin1'));

/** Counters of /proc/PID/io: what read(2), write(2) and their kin were called and moved; not send and recv. */
export interface Io {
  readonly rchar: number;
  readonly wchar: number;
  readonly syscr: number;
  readonly syscw: number;
}

export function io(pid: number): Io {
  const text = readFileSync(`/proc/${pid}/io`, 'latin1');
  const field = (name: string): number => {
    const value = new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1];
    if (value === undefined) throw new Error(`/proc/${pid}/io has no ${name}`);
    return Number(value);
  };
  return {rchar: field('rchar'), wchar: field('wchar'), syscr: field('syscr'), syscw: field('syscw')};
}

export const ioBetween = (from: Io, to: Io): Io => ({
  rchar: to.rchar - from.rchar,
  wchar: to.wchar - from.wchar,
  syscr: to.syscr - from.syscr,
  syscw: to.syscw - from.syscw,
});

/** Open descriptors: number → what it is ("socket:[123]", a path…). */
export function descriptors(pid: number): Map<number, string> {
  const found = new Map<number, string>();
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      found.set(Number(name), readlinkSync(`/proc/${pid}/fd/${name}`));
    } catch {
      // Closed meanwhile.
    }
  }
  return found;
}

/** A field of /proc/PID/status or of a thread's. */
export function statusField(path: string, name: string): string {
  const value = new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`${path}/status`, 'latin1'))?.[1];
  if (value === undefined) throw new Error(`${path}/status has no ${name}`);
  return value;
}

export const tracerPid = (pid: number): number => Number(statusField(`/proc/${pid}`, 'TracerPid'));
export const residentKiB = (pid: number): number => Number.parseInt(statusField(`/proc/${pid}`, 'VmRSS'), 10);

/** Thread id → state letter (R S D T t Z X). */
export function threadStates(pid: number): Map<number, string> {
  const states = new Map<number, string>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    try {
      states.set(Number(tid), statusField(`/proc/${pid}/task/${tid}`, 'State').charAt(0));
    } catch {
      // Ended meanwhile.
    }
  }
  return states;
}

/** Fields of /proc/PID/stat from number 3 (the state) on: index 0 is field 3. */
export function statFields(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text
    .slice(text.lastIndexOf(')') + 2)
    .trimEnd()
    .split(' ');
}

/** Clock ticks since boot: with the pid it names one process for ever. */
export const startTime = (pid: number): string => statFields(pid)[19] ?? '';

/** User plus system time of all its threads, in seconds (utime, stime; ticks of 10 ms). */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid);
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A kernel thread: one whose parent is kthreadd, which is process 2. */
export function anyKernelThread(): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const fields = statFields(Number(name));
      if (fields[1] === '2') return Number(name);
    } catch {
      // Ended meanwhile.
    }
  }
  throw new Error('no kernel thread can be seen from here: run the tests in the machine’s own PID namespace');
}

/** A pid that no process has now. */
export function unusedPid(): number {
  const limit = Number(readFileSync('/proc/sys/kernel/pid_max', 'latin1'));
  for (let pid = limit - 1; pid > 1; pid--) {
    try {
      statFields(pid);
    } catch {
      return pid;
    }
  }
  throw new Error('every pid is taken');
}

/** Whether the running Linux is that version or a later one. */
export function kernelIsAtLeast(major: number, minor: number): boolean {
  const [ours = 0, andMinor = 0] = readFileSync('/proc/sys/kernel/osrelease', 'utf8').split('.').map(Number);
  return ours > major || (ours === major && andMinor >= minor);
}
