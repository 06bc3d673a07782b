// Proof that a program is as it was: its code, its descriptors, its mappings, its threads.
import {closeSync, existsSync, openSync, readSync} from 'node:fs';
import type {Mapping} from './proc';
import {descriptors, maps, threadStates, tracerPid} from './proc';

const STEP_BYTES = 1 << 20;

/** Reads exactly `length` bytes at `position`, or fewer at the file's end. */
function readAt(fd: number, position: bigint, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const got = readSync(fd, bytes, done, length - done, position + BigInt(done));
    if (got === 0) break;
    done += got;
  }
  return bytes.subarray(0, done);
}

const hex = (address: bigint): string => `0x${address.toString(16)}`;

/** The first byte of `mapping` in the process's memory that differs from its file's; undefined when there is none. */
function differenceIn(pid: number, mapping: Mapping): string | undefined {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  // map_files reaches the very file, also when it was replaced or deleted on disk.
  const file = openSync(`/proc/${pid}/map_files/${mapping.start.toString(16)}-${mapping.end.toString(16)}`, 'r');
  try {
    for (let at = mapping.start; at < mapping.end; at += BigInt(STEP_BYTES)) {
      const length = Number(mapping.end - at < STEP_BYTES ? mapping.end - at : STEP_BYTES);
      const there = readAt(memory, at, length);
      const original = readAt(file, mapping.offset + (at - mapping.start), length);
      const shared = Math.min(there.length, original.length);
      if (there.compare(original, 0, shared, 0, shared) === 0) continue;
      const index = there.findIndex((byte, i) => i < shared && byte !== original[i]);
      const piece = (bytes: Buffer): string => bytes.subarray(index, index + 16).toString('hex');
      return `${mapping.path} at ${hex(at + BigInt(index))}: ${piece(there)} instead of ${piece(original)}`;
    }
    return undefined;
  } finally {
    closeSync(memory);
    closeSync(file);
  }
}

/** Where the code in a live process differs from the files that it came from: one line per mapping, none when intact. */
export function textDifferences(pid: number): string[] {
  return maps(pid)
    .filter(mapping => mapping.permissions.includes('x') && mapping.inode !== '0' && !mapping.path.includes('memfd:'))
    .flatMap(mapping => {
      try {
        return differenceIn(pid, mapping) ?? [];
      } catch (thrown) {
        // A library that was unloaded meanwhile has no code to compare: neither file nor memory is there.
        // Not `instanceof Error`: what Node's own modules throw is none of the Errors that a test sees.
        const {code} = thrown as NodeJS.ErrnoException;
        if (code !== 'ENOENT' && code !== 'EIO') throw thrown;
        return [];
      }
    });
}

/** Code that a hook put there: at least one byte differs. */
export const isPatched = (pid: number): boolean => textDifferences(pid).length > 0;

/** What must not change by an attach and a detach. */
export interface Footprint {
  readonly pid: number;
  readonly descriptors: ReadonlyMap<number, string>;
  readonly mappings: readonly Mapping[];
  readonly executableMappings: number;
}

export function footprint(pid: number): Footprint {
  const mappings = maps(pid);
  return {
    pid,
    descriptors: descriptors(pid),
    mappings,
    executableMappings: mappings.filter(mapping => mapping.permissions.includes('x')).length,
  };
}

const isOurs = (mapping: Mapping): boolean => mapping.path.includes('memfd:scope');

/** A descriptor that the program itself would never have: of the ring's memory. */
const ourDescriptors = (pid: number): string[] =>
  [...descriptors(pid)]
    .filter(([, target]) => target.includes('memfd:scope'))
    .map(([fd, target]) => `${fd} → ${target}`);

export interface IntactOptions {
  /** The inert code may stay while a thread may still return to it: it is then allowed, once. */
  readonly leftovers?: boolean;
  /** `ours`: a program under load opens and closes its own. */
  readonly descriptors?: 'all' | 'ours';
  /** `all`: every mapping must be as it was, for a program that maps nothing meanwhile. */
  readonly mappings?: 'all' | 'ours';
}

/**
 * What of the process is not as it was before the attach: one line per fault, none when it is intact. Looks at code,
 * mappings, descriptors, stopped threads and the tracer.
 */
export function faultsSince(before: Footprint, options: IntactOptions = {}): string[] {
  const {leftovers = false, descriptors: which = 'all', mappings = 'ours'} = options;
  const {pid} = before;
  if (!existsSync(`/proc/${pid}/task`)) return [`process ${pid} is gone`];
  const faults = textDifferences(pid).map(line => `code differs: ${line}`);
  const left = maps(pid).filter(isOurs);
  if (!leftovers)
    faults.push(...left.map(mapping => `mapping left: ${hex(mapping.start)} ${mapping.permissions} ${mapping.path}`));
  const executable = maps(pid).filter(mapping => mapping.permissions.includes('x') && !isOurs(mapping));
  const unknown = executable.filter(
    mapping =>
      mapping.inode === '0' &&
      !mapping.path.startsWith('[') &&
      !before.mappings.some(old => old.start === mapping.start),
  );
  // A just-in-time compiler makes code of its own: only a program without one may be held to this.
  if (!before.mappings.some(mapping => mapping.permissions.includes('x') && mapping.path === '')) {
    faults.push(...unknown.map(mapping => `anonymous code left: ${hex(mapping.start)}-${hex(mapping.end)}`));
  }
  if (mappings === 'all') {
    const line = ({start, end, permissions, path}: Mapping): string =>
      `${hex(start)}-${hex(end)} ${permissions} ${path}`;
    const old = new Set(before.mappings.map(line));
    const now = new Set(maps(pid).map(line));
    faults.push(...[...now].filter(mapping => !old.has(mapping)).map(mapping => `new mapping: ${mapping}`));
    faults.push(...[...old].filter(mapping => !now.has(mapping)).map(mapping => `mapping gone: ${mapping}`));
  }
  faults.push(...ourDescriptors(pid).map(line => `descriptor left: ${line}`));
  if (which === 'all') {
    const now = descriptors(pid);
    for (const [fd, target] of now) {
      if (!before.descriptors.has(fd)) faults.push(`descriptor ${fd} (${target}) was not there before`);
    }
    for (const [fd, target] of before.descriptors) {
      if (now.get(fd) !== target) faults.push(`descriptor ${fd} was ${target} and is ${now.get(fd) ?? 'closed'}`);
    }
  }
  for (const [tid, state] of threadStates(pid)) {
    if (state === 'T' || state === 't') faults.push(`thread ${tid} is stopped (${state})`);
  }
  const tracer = tracerPid(pid);
  if (tracer !== 0) faults.push(`process ${tracer} still traces it`);
  return faults;
}
