import {readFileSync, readdirSync, readlinkSync} from 'node:fs';
import {holdsDecoder, sharedMemories} from './maps.parser';
import {parsePasswd} from './passwd.parser';
import type {ProcessFacts, ProcessTable} from './process-table.port';
import type {ProcStat} from './stat.parser';
import {isKernelThread, isZombie, parseStat} from './stat.parser';
import {parseStatus} from './status.parser';

/** Undefined when the file is gone, or not ours to read. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The link's target without the kernel's " (deleted)"; undefined when it can't be read. */
function readExecutable(path: string): string | undefined {
  try {
    return readlinkSync(path).replace(/ \(deleted\)$/, '');
  } catch {
    return undefined;
  }
}

/** Reads the proc filesystem mounted at `root` anew at each call; only names of users are remembered. */
export class ProcFs implements ProcessTable {
  private users: ReadonlyMap<number, string> | undefined;

  constructor(
    private readonly root = '/proc',
    private readonly passwdPath = '/etc/passwd',
  ) {}

  list(): ProcessFacts[] {
    return this.pids().flatMap(pid => this.read(pid) ?? []);
  }

  read(pid: number): ProcessFacts | undefined {
    const stat = this.stat(pid);
    const statusText = readText(`${this.root}/${pid}/status`);
    const status = statusText === undefined ? undefined : parseStatus(statusText);
    if (stat === undefined || status === undefined) return undefined;
    // /proc/TID answers too, for a thread: its group's id differs.
    if (statusText !== undefined && Number(/^Tgid:\s*(\d+)$/m.exec(statusText)?.[1]) !== pid) return undefined;
    return {
      pid,
      startTime: stat.startTime,
      name: stat.name,
      executable: readExecutable(`${this.root}/${pid}/exe`),
      argv: (readText(`${this.root}/${pid}/cmdline`) ?? '').split('\0').slice(0, -1),
      uid: status.uid,
      user: this.userName(status.uid),
      parentPid: stat.parentPid,
      threads: stat.threads,
      tracerPid: status.tracerPid,
      kernelThread: isKernelThread(stat),
      zombie: isZombie(stat),
      stopped: stat.state === 'T',
    };
  }

  startTime(pid: number): string | undefined {
    const stat = this.stat(pid);
    return stat === undefined || isZombie(stat) ? undefined : stat.startTime;
  }

  readerOf(pid: number): number | undefined {
    const maps = (of: number): string => readText(`${this.root}/${of}/maps`) ?? '';
    const memories = new Set(sharedMemories(maps(pid)));
    if (memories.size === 0) return undefined;
    return this.pids().find(other => {
      if (other === pid) return false;
      const text = maps(other);
      return holdsDecoder(text) && sharedMemories(text).some(memory => memories.has(memory));
    });
  }

  private pids(): number[] {
    return readdirSync(this.root)
      .filter(name => /^\d+$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  }

  private stat(pid: number): ProcStat | undefined {
    const text = readText(`${this.root}/${pid}/stat`);
    return text === undefined ? undefined : parseStat(text);
  }

  private userName(uid: number): string {
    this.users ??= new Map(parsePasswd(readText(this.passwdPath) ?? '').map(entry => [entry.uid, entry.name]));
    return this.users.get(uid) ?? String(uid);
  }
}
