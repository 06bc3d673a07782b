/**
 * Looking into NDJSON lines without parsing them. The decoder writes every line as
 *
 *   {"time":"2026-01-02T03:04:05.123456789Z","event":"fs.open","process":{…
 *   0        9                              39         50
 *
 * so the name is at a known place; a line that is laid out otherwise is searched. A quote inside a JSON string is
 * always escaped, so `"key":` can not be met inside a value.
 */
const NEWLINE = 0x0a;
const QUOTE = 0x22;
const NAME_OFFSET = 50;
const EVENT_KEY = '"event":"';

/** Milliseconds since 1970 as the time of an event. */
export function eventTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000000Z');
}

/** Calls `visit` for each line: `start` and `end` (of the \n) are offsets into `lines`. */
export function forEachLine(lines: Buffer, visit: (start: number, end: number) => void): void {
  let start = 0;
  while (start < lines.length) {
    const newline = lines.indexOf(NEWLINE, start);
    const end = newline < 0 ? lines.length : newline;
    if (end > start) visit(start, end);
    start = end + 1;
  }
}

/** Where the event's name begins in the line [start, end); -1 when it has none. */
export function eventNameOffset(lines: Buffer, start: number, end: number): number {
  const at = start + NAME_OFFSET;
  if (lines[at - 1] === QUOTE && lines[at - 3] === 0x3a && lines[at - 4] === QUOTE && lines[at - 5] === 0x74) return at;
  const found = lines.indexOf(EVENT_KEY, start, 'latin1');
  return found < 0 || found >= end ? -1 : found + EVENT_KEY.length;
}

/** The event's name in the line [start, end); "" when it has none. */
export function eventNameAt(lines: Buffer, start: number, end: number): string {
  const at = eventNameOffset(lines, start, end);
  if (at < 0) return '';
  let stop = at;
  while (stop < end && lines[stop] !== QUOTE) stop += 1;
  return lines.toString('latin1', at, stop);
}

/** Whether `bytes` stand at `at`: for the few bytes of a name, sooner than by a call out of JavaScript. */
export function hasBytesAt(lines: Buffer, at: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i += 1) if (lines[at + i] !== bytes[i]) return false;
  return true;
}
