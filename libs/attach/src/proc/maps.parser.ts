/** What the injector names its memory (scope_abi.h), as the kernel shows it: deleted, since it never had a place. */
const MEMORY = /^\S+ \S+ \S+ (\S+ \d+) +\/memfd:scope-ring(?: \(deleted\))?$/gm;
const DECODER = /\/scope\.node(?: \(deleted\))?$/m;

/** Of /proc/PID/maps: device and inode of each memory of ours that is mapped, by which two processes share it. */
export function sharedMemories(maps: string): string[] {
  return [...new Set([...maps.matchAll(MEMORY)].flatMap(([, identity]) => identity ?? []))];
}

/** Whether the process has loaded the decoder: then it is an agent, not a scoped one or its child. */
export function holdsDecoder(maps: string): boolean {
  return DECODER.test(maps);
}
