import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import type {ProcSource} from './proc-source.port';

/** The proc filesystem mounted at `root`. */
export function procSource(root = '/proc'): ProcSource {
  return {
    pids: () =>
      readdirSync(root)
        .filter(name => /^\d+$/.test(name))
        .map(Number),
    read: (pid, name) => orUndefined(() => readFileSync(`${root}/${pid}/${name}`, 'utf8')),
    executable: pid => orUndefined(() => readlinkSync(`${root}/${pid}/exe`).replace(/ \(deleted\)$/, '')),
  };
}

function orUndefined(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
