import {writeFileSync} from 'node:fs';
import {join} from 'node:path';

/** Byte i of the file that is `size` bytes long: (7 i + size) mod 251. A moved, doubled or dropped byte shows. */
export function patternOf(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (7 * i + size) % 251;
  return bytes;
}

/** Sizes in bytes: less than a segment, a few segments, more than a socket buffer. */
export const FILE_SIZES = [97, 1_500, 20_000, 300_000] as const;

export const fileName = (size: number): string => `file-${size}`;

/** The files that every server of the tests serves. */
export function writeContent(folder: string): void {
  for (const size of FILE_SIZES) writeFileSync(join(folder, fileName(size)), patternOf(size));
}
