import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  writeSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {errnoOf} from '@scope/core';
import {writeError} from './ndjson.sink';

/** Sessions kept in one history; the oldest go first. */
const SESSIONS_KEPT = 100;
const OWN_FILE = /^(session\.json(\.new)?|(events|metrics)(\.\d+)?\.ndjson)$/;

/**
 * One session's folder in a history:
 *
 *   HISTORY/SESSION-ID/session.json      the session's last snapshot
 *                     /events.ndjson     …events.1.ndjson, … older ones
 *                     /metrics.ndjson    counts, every few seconds
 *
 * Folders are 0700 and files 0600, owned by who writes them; links are never followed.
 */
export class HistoryFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes the folder, and its parents; drops the oldest ones past the bound. Throws HistoryNotWritable or DiskFull. */
  static create(history: string, sessionId: string): HistoryFolder {
    const path = join(history, sessionId);
    try {
      makeFolders(history);
      prune(history, SESSIONS_KEPT - 1);
      mkdirSync(path, {mode: 0o700});
      return proven(new HistoryFolder(path), sessionId);
    } catch (error) {
      throw writeError(error, `Session history ${path}`);
    }
  }

  /** The folder of a session that goes on; made anew where somebody has taken it away. */
  static reopen(history: string, sessionId: string): HistoryFolder {
    const path = join(history, sessionId);
    if (!existsSync(path)) return HistoryFolder.create(history, sessionId);
    if (!lstatSync(path).isDirectory()) throw writeError(new Error('it is no folder'), `Session history ${path}`);
    return new HistoryFolder(path);
  }

  file(name: 'events.ndjson' | 'metrics.ndjson'): string {
    return join(this.path, name);
  }

  /** Replaces session.json as a whole. Throws HistoryNotWritable or DiskFull. */
  write(session: unknown): void {
    const path = join(this.path, 'session.json');
    const temporary = `${path}.new`;
    try {
      rmSync(temporary, {force: true});
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      const descriptor = openSync(temporary, flags, 0o600);
      try {
        const text = Buffer.from(`${JSON.stringify(session, undefined, 2)}\n`);
        for (let at = 0; at < text.length;) at += writeSync(descriptor, text, at);
      } finally {
        closeSync(descriptor);
      }
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, {force: true});
      throw writeError(error, `Session history ${this.path}`);
    }
  }
}

/** `folder` once something could be written to it: before anything is done to the process. Else it is gone again. */
function proven(folder: HistoryFolder, id: string): HistoryFolder {
  try {
    folder.write({id});
    return folder;
  } catch (error) {
    rmdirSync(folder.path);
    throw error;
  }
}

/**
 * The folder and its parents. Step by step: Node's own recursive mkdir never returns where the kernel answers ENOENT
 * although the parent is there (/proc).
 */
function makeFolders(path: string): void {
  try {
    mkdirSync(path, {mode: 0o700});
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST' && statSync(path).isDirectory()) return;
    if (errno !== 'ENOENT' || dirname(path) === path || existsSync(dirname(path))) throw error;
    makeFolders(dirname(path));
    mkdirSync(path, {mode: 0o700});
  }
}

/** Removes the oldest session folders until `kept` are left: their known files only, nothing that someone else put there. */
function prune(history: string, kept: number): void {
  const sessions = readdirSync(history, {withFileTypes: true})
    .filter(entry => entry.isDirectory())
    .flatMap(({name}) => {
      try {
        return [{path: join(history, name), at: lstatSync(join(history, name, 'session.json')).mtimeMs}];
      } catch {
        return [];
      }
    })
    .sort((a, b) => b.at - a.at);
  for (const {path} of sessions.slice(kept)) {
    if (isLive(path)) continue;
    for (const name of readdirSync(path)) if (OWN_FILE.test(name)) rmSync(join(path, name), {force: true});
    try {
      rmdirSync(path);
    } catch {
      // Something of somebody else's is in it: it stays.
    }
  }
}

function isLive(path: string): boolean {
  try {
    const session = JSON.parse(readFileSync(join(path, 'session.json'), 'utf8')) as {endedAt?: string};
    return session.endedAt === undefined && Date.now() - lstatSync(path).mtimeMs < 86_400_000;
  } catch {
    return false;
  }
}
