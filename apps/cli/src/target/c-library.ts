import {closeSync, openSync, readFileSync, readSync} from 'node:fs';

const GLIBC = /^(?:libc\.so\.6|libc-\d[\d.]*\.so)$/;
const MUSL = /^(?:ld-musl-.*\.so\.1|libc\.musl-.*\.so\.1)$/;
const SCAN_BYTES = 4 << 20;

/**
 * Which C library a running program has loaded, by its memory map, with its version where the file says it: "glibc 2.36
 * (/lib/…/libc.so.6)". Undefined when it has none that is known, or can't be looked at.
 */
export function cLibraryOf(pid: number, root = '/proc'): string | undefined {
  try {
    const path = cLibraryIn(readFileSync(`${root}/${pid}/maps`, 'utf8'));
    if (path === undefined) return undefined;
    if (MUSL.test(basename(path))) return `musl (${path})`;
    const version = glibcVersion(head(`${root}/${pid}/root${path}`));
    return `glibc${version === undefined ? '' : ` ${version}`} (${path})`;
  } catch {
    return undefined;
  }
}

/** Path of the C library in the text of /proc/PID/maps. */
export function cLibraryIn(maps: string): string | undefined {
  return maps
    .split('\n')
    .map(line => line.slice(line.indexOf('/')))
    .find(path => GLIBC.test(basename(path)) || MUSL.test(basename(path)));
}

/** What its banner says: "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36." */
export function glibcVersion(bytes: Buffer): string | undefined {
  const at = bytes.indexOf('GNU C Library');
  if (at < 0) return undefined;
  return /version (\d+\.\d+)/.exec(bytes.toString('latin1', at, at + 200))?.[1];
}

function head(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(SCAN_BYTES);
    return bytes.subarray(0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}

function basename(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
