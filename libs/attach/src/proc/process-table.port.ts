/** Facts about one process, read from outside. */
export interface ProcessFacts {
  readonly pid: number;
  /** Clock ticks since boot: with `pid` it names one process for ever. */
  readonly startTime: string;
  /** comm. */
  readonly name: string;
  /** Path of the program as the process sees it; undefined for kernel threads, zombies, and without permission. */
  readonly executable: string | undefined;
  readonly argv: readonly string[];
  readonly uid: number;
  /** Name of the user, or the number where there is no name. */
  readonly user: string;
  readonly parentPid: number;
  readonly threads: number;
  readonly tracerPid: number;
  readonly kernelThread: boolean;
  readonly zombie: boolean;
  /** By job control (SIGSTOP). */
  readonly stopped: boolean;
}

export interface ProcessTable {
  /** Every process (thread groups only), in ascending order of pid. */
  list(): ProcessFacts[];
  /** Undefined when there is no such process (any more), or `pid` is a thread's id. */
  read(pid: number): ProcessFacts | undefined;
  /** Cheap: the start time alone. */
  startTime(pid: number): string | undefined;
  /** The agent that reads what this process's scope writes, if one lives. Slow: it looks at every process. */
  readerOf(pid: number): number | undefined;
}
