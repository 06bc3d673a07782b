/** What this program uses of /proc/PID/status. */
export interface ProcStatus {
  /** Effective user id. */
  readonly uid: number;
  /** 0 when nobody traces it. */
  readonly tracerPid: number;
  /** The id in each PID namespace, outermost first; the last is what the process itself sees. */
  readonly namespacePids: readonly number[];
}

/** Undefined when `text` lacks a field (the process ended while it was read). */
export function parseStatus(text: string): ProcStatus | undefined {
  const field = (name: string): string[] | undefined =>
    new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1]?.split(/\s+/);
  const uid = Number(field('Uid')?.[1]);
  const tracerPid = Number(field('TracerPid')?.[0]);
  if (Number.isNaN(uid) || Number.isNaN(tracerPid)) return undefined;
  return {uid, tracerPid, namespacePids: (field('NSpid') ?? []).map(Number)};
}
