/** What the records of each mix of bench-decode.rs are. */
export const MIXES = {
  reads: 'reads of 64 bytes from a connection',
  writes: 'writes of 64 bytes to a connection',
  exchanges: 'HTTP exchanges on one connection',
  connections: 'connections of one HTTP exchange each',
} as const;

/** A line of its output. */
export interface DecodeRun {
  readonly mix: keyof typeof MIXES;
  readonly records: number;
  readonly events: number;
  /** Of the lines that it wrote. */
  readonly bytes: number;
  /** Processor time of the decoder's thread. */
  readonly cpuNs: number;
}

/** Throws for a mix that is missing, and for one that nobody knows. */
export function parseRuns(text: string): DecodeRun[] {
  const lines = text.split('\n').filter(line => line !== '');
  const runs = lines.map(line => JSON.parse(line) as DecodeRun);
  const mixes = runs.map(({mix}) => mix);
  if (mixes.join() !== Object.keys(MIXES).join())
    throw new Error(`bench-decode ran ${mixes.join(', ')}: ${Object.keys(MIXES).join(', ')} were expected`);
  return runs;
}
