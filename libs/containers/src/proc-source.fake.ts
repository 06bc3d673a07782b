import type {ProcSource} from './proc-source.port';

export interface FakeProcess {
  readonly cgroup: string;
  readonly status?: string;
  readonly stat?: string;
  readonly cmdline?: string;
  readonly comm?: string;
  readonly executable?: string;
}

/** A proc filesystem whose processes a test puts in and takes out. */
export class FakeProcSource implements ProcSource {
  readonly processes = new Map<number, FakeProcess>();
  /** How often a file has been read, by `PID/NAME`. */
  readonly reads = new Map<string, number>();

  pids(): readonly number[] {
    return [...this.processes.keys()];
  }

  read(pid: number, name: 'cgroup' | 'status' | 'stat' | 'cmdline' | 'comm'): string | undefined {
    const key = `${pid}/${name}`;
    this.reads.set(key, (this.reads.get(key) ?? 0) + 1);
    return this.processes.get(pid)?.[name];
  }

  executable(pid: number): string | undefined {
    return this.processes.get(pid)?.executable;
  }
}
