import type {ProcessFacts, ProcessTable} from './process-table.port';

/** A process that could be scoped, with what a test says otherwise. */
export function fakeProcess(facts: Partial<ProcessFacts> & {pid: number}): ProcessFacts {
  return {
    startTime: '1000',
    name: 'server',
    executable: '/usr/bin/server',
    argv: ['server'],
    uid: 1000,
    user: 'web',
    parentPid: 1,
    threads: 1,
    tracerPid: 0,
    kernelThread: false,
    zombie: false,
    stopped: false,
    ...facts,
  };
}

export class FakeProcessTable implements ProcessTable {
  /** By pid: the agent that reads its scope. */
  readonly readers = new Map<number, number>();
  private readonly processes = new Map<number, ProcessFacts>();

  constructor(...processes: ProcessFacts[]) {
    for (const facts of processes) this.set(facts);
  }

  set(facts: ProcessFacts): void {
    this.processes.set(facts.pid, facts);
  }

  remove(pid: number): void {
    this.processes.delete(pid);
  }

  list(): ProcessFacts[] {
    return [...this.processes.values()].sort((a, b) => a.pid - b.pid);
  }

  read(pid: number): ProcessFacts | undefined {
    return this.processes.get(pid);
  }

  startTime(pid: number): string | undefined {
    return this.processes.get(pid)?.startTime;
  }

  readerOf(pid: number): number | undefined {
    return this.readers.get(pid);
  }
}
