/** What this program uses of /proc/PID/stat (proc_pid_stat(5)). */
export interface ProcStat {
  readonly pid: number;
  /** comm: may hold spaces, parentheses and newlines. */
  readonly name: string;
  /** One letter: R S D T t Z X I … */
  readonly state: string;
  readonly parentPid: number;
  /** PF_* of include/linux/sched.h. */
  readonly flags: number;
  readonly threads: number;
  /** Clock ticks since boot, as text: it is compared, never computed with. */
  readonly startTime: string;
}

const PF_KTHREAD = 0x0020_0000;

/** Undefined when `text` is no stat line (the process ended while it was read). Fields are counted after the last ")". */
export function parseStat(text: string): ProcStat | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  const fields = text
    .slice(close + 2)
    .trimEnd()
    .split(' ');
  const [state, parent] = fields;
  const startTime = fields[19];
  const pid = Number(text.slice(0, open));
  if (state === undefined || startTime === undefined || !Number.isInteger(pid)) return undefined;
  return {
    pid,
    name: text.slice(open + 1, close),
    state,
    parentPid: Number(parent),
    flags: Number(fields[6]),
    threads: Number(fields[17]),
    startTime,
  };
}

export function isKernelThread(stat: ProcStat): boolean {
  return (stat.flags & PF_KTHREAD) !== 0;
}

/** Dead, and kept only until its parent asks how it ended. */
export function isZombie(stat: ProcStat): boolean {
  return stat.state === 'Z' || stat.state === 'X';
}
