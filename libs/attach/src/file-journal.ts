import {mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import * as z from 'zod/mini';
import type {Journal, JournalEntry, JournalFiles, SavedSession} from './journal.port';

const savedSchema = z.looseObject({
  id: z.string().check(z.regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/)),
  name: z.string(),
  executable: z.string(),
  createdAt: z.string(),
  claims: z
    .array(
      z.looseObject({
        request: z.looseObject({pid: z.int(), owner: z.string(), capture: z.looseObject({})}),
        deadline: z.optional(z.string()),
      }),
    )
    .check(z.minLength(1)),
});

const entrySchema = z.object({
  pid: z.int().check(z.positive()),
  startTime: z.string(),
  enter: z.boolean(),
  agentPid: z.int(),
  agentStartTime: z.string(),
  // Of another version, or not there: the process is let go.
  session: z.catch(z.optional(savedSchema), undefined),
});

/** Small files per process in `directory` (0700): PID-STARTTIME.json, .cursor and .marks. */
export class FileJournal implements Journal {
  constructor(private readonly directory: string) {
    mkdirSync(directory, {recursive: true, mode: 0o700});
  }

  put(entry: JournalEntry): void {
    // An agent that ends beside us may have taken the empty folder with it.
    mkdirSync(this.directory, {recursive: true, mode: 0o700});
    const path = this.path(entry.pid, entry.startTime, 'json');
    writeFileSync(`${path}.new`, JSON.stringify(entry), {mode: 0o600});
    renameSync(`${path}.new`, path);
  }

  remove(pid: number, startTime: string): void {
    // The entry goes first: without it the others mean nothing.
    for (const kind of ['json', 'cursor', 'marks'] as const) rmSync(this.path(pid, startTime, kind), {force: true});
  }

  /** Files that are no entries (cut short by a full disk) are left out. */
  entries(): JournalEntry[] {
    return filesIn(this.directory)
      .filter(name => name.endsWith('.json'))
      .flatMap(name => {
        try {
          const parsed = entrySchema.safeParse(JSON.parse(readFileSync(join(this.directory, name), 'utf8')));
          if (!parsed.success) return [];
          const {session, ...entry} = parsed.data;
          // Written by `put`: what the schema does not look at is as it was given.
          return [{...entry, ...(session !== undefined && {session: session as unknown as SavedSession})}];
        } catch {
          return [];
        }
      });
  }

  files(pid: number, startTime: string): JournalFiles {
    return {cursor: this.path(pid, startTime, 'cursor'), marks: this.path(pid, startTime, 'marks')};
  }

  private path(pid: number, startTime: string, kind: 'json' | 'cursor' | 'marks'): string {
    return join(this.directory, `${pid}-${startTime}.${kind}`);
  }
}

/** Names of what is in the folder; none when it is gone. */
function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
