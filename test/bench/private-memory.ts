import {readFileSync} from 'node:fs';

/** Memory that nobody else maps (Private_Clean and Private_Dirty of smaps, proc(5)), in KiB. */
export interface PrivateMemory {
  readonly total: number;
  /** Of it, in mappings of the rings: written by the target, and not yet read by anyone. */
  readonly rings: number;
}

export function parsePrivateMemory(smaps: string): PrivateMemory {
  let [total, rings] = [0, 0];
  let isRings = false;
  for (const line of smaps.split('\n')) {
    const field = /^(\w+):\s+(\d+) kB$/.exec(line);
    if (field === null) {
      if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) isRings = line.includes('memfd:scope-ring');
      continue;
    }
    const [, name = '', kib = ''] = field;
    if (name !== 'Private_Clean' && name !== 'Private_Dirty') continue;
    total += Number(kib);
    if (isRings) rings += Number(kib);
  }
  return {total, rings};
}

export const privateMemory = (pid: number): PrivateMemory =>
  parsePrivateMemory(readFileSync(`/proc/${pid}/smaps`, 'latin1'));
