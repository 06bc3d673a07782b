/** Reads /proc. Absence is normal: processes end while they are looked at. */
export interface ProcSource {
  /** Ids of all processes (thread groups). */
  pids(): readonly number[];
  /** Text of /proc/PID/NAME; undefined when it is gone or not ours to read. */
  read(pid: number, name: 'cgroup' | 'status' | 'stat' | 'cmdline' | 'comm'): string | undefined;
  /** Target of /proc/PID/exe, without the kernel's " (deleted)". */
  executable(pid: number): string | undefined;
}
