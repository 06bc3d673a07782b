import {closeSync, constants, openSync, readFileSync, statSync, truncateSync, writeSync} from 'node:fs';
import * as z from 'zod/mini';

/** What was kept of a session's events. */
export interface Kept {
  /** The last one's (EventBatch.mark). */
  readonly mark?: string;
  readonly events: number;
  readonly rateLimited: number;
}

/** An append that is about to be made. Offsets are sizes of the file, which its inode names. */
export interface Append {
  readonly inode: number;
  readonly before: number;
  readonly after: number;
  readonly events: number;
  readonly mark: string | undefined;
}

/** More than any record; less than a page, so that no death cuts it in half. */
const RECORD_BYTES = 2048;
const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

const keptSchema = z.object({mark: z.optional(z.string()), events: z.int(), rateLimited: z.int()});
const recordSchema = z.object({
  kept: keptSchema,
  next: z.optional(z.object({inode: z.int(), before: z.int(), after: z.int(), kept: keptSchema})),
});

/**
 * Which lines of a session are on disk, known for certain also after a sudden death: a small file of one record that is
 * written before each append. The next agent compares it with what the file has become:
 *
 *   shorter than it should be by now ─▶ cut back to where the append began: it never was
 *   as long, or another file (rotated) ─▶ it was made
 */
export class MarkLog {
  private descriptor: number | undefined;
  private next: (Omit<Append, 'events' | 'mark'> & {readonly kept: Kept}) | undefined;

  /** `kept`: by whoever wrote it before. Throws Node's system errors. */
  constructor(
    private readonly path: string,
    private kept: Kept,
    private readonly rateLimited: () => number,
  ) {
    this.descriptor = openSync(path, FLAGS, 0o600);
    this.write(this.descriptor);
  }

  begin({inode, before, after, events, mark = this.kept.mark}: Append): void {
    this.next = {inode, before, after, kept: this.plus(events, mark)};
    if (this.descriptor !== undefined) this.write(this.descriptor);
  }

  /** The append that was begun is made. The file learns of it with the next one. */
  done(): void {
    this.kept = this.next?.kept ?? this.kept;
    this.next = undefined;
  }

  /** For lines that go where nobody can look afterwards: said once they are written, which may be after the `close`. */
  note(events: number, mark: string | undefined): void {
    this.kept = this.plus(events, mark ?? this.kept.mark);
    if (this.descriptor !== undefined) {
      this.write(this.descriptor);
      return;
    }
    try {
      const descriptor = openSync(this.path, constants.O_RDWR | constants.O_NOFOLLOW);
      this.write(descriptor);
      closeSync(descriptor);
    } catch {
      // The session is over, and its files are gone.
    }
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  /** What `path` says was kept; `events`: the file that it is about, which loses a last append that was cut short. */
  static recover(path: string, events?: string): Kept & {readonly at?: Date} {
    try {
      const {kept, next} = recordSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
      const isMade = next === undefined || events === undefined || finish(events, next);
      return {...clean(isMade ? (next?.kept ?? kept) : kept), at: statSync(path).mtime};
    } catch {
      return {events: 0, rateLimited: 0};
    }
  }

  private plus(events: number, mark: string | undefined): Kept {
    return clean({mark, events: this.kept.events + events, rateLimited: this.rateLimited()});
  }

  private write(descriptor: number): void {
    const {kept, next} = this;
    writeSync(descriptor, JSON.stringify({kept, next}).padEnd(RECORD_BYTES), 0);
  }
}

const clean = ({mark, events, rateLimited}: z.infer<typeof keptSchema>): Kept => ({
  events,
  rateLimited,
  ...(mark !== undefined && {mark}),
});

/** Whether the append was made; what is there of one that was not is taken back. */
function finish(path: string, {inode, before, after}: Omit<Append, 'events' | 'mark'>): boolean {
  const {ino, size} = statSync(path, {throwIfNoEntry: false}) ?? {ino: 0, size: 0};
  if (ino !== inode || size >= after) return true;
  truncateSync(path, before);
  return false;
}
