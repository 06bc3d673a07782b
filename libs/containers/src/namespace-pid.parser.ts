/**
 * The process's id in its own, innermost PID namespace, from the text of /proc/PID/status: the last number of the
 * NSpid line (proc_pid_status(5), since Linux 4.1). Undefined when there is none.
 */
export function parseNamespacePid(status: string): number | undefined {
  const numbers = /^NSpid:\s*([\d\s]+)$/m.exec(status)?.[1]?.trim().split(/\s+/);
  const innermost = Number(numbers?.at(-1));
  return Number.isInteger(innermost) && innermost > 0 ? innermost : undefined;
}
