import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import type {SessionView} from '@scope/attach';
import {ScopeError, errnoOf, forEachLine} from '@scope/core';
import type {EventFilterSpec} from '@scope/pipeline';
import {eventFilter} from '@scope/pipeline';

/** A past (or running) session as its folder tells it. */
export interface HistoryEntry {
  readonly id: string;
  readonly path: string;
  readonly session: SessionView & {readonly events?: Readonly<Record<string, number>>};
}

/** Oldest first; folders without a readable session.json are left out. Throws NotRoot when the folder is not ours. */
export function listHistory(directory: string): HistoryEntry[] {
  return names(directory)
    .flatMap(name => {
      const path = join(directory, name);
      try {
        const session = JSON.parse(readFileSync(join(path, 'session.json'), 'utf8')) as HistoryEntry['session'];
        return typeof session.createdAt === 'string' ? [{id: name, path, session}] : [];
      } catch {
        return [];
      }
    })
    .sort((a, b) => a.session.createdAt.localeCompare(b.session.createdAt));
}

export function latestSession(entries: readonly HistoryEntry[]): HistoryEntry[] {
  return entries.slice(-1);
}

/** The last `count` events of a session's folder that pass, oldest first. */
export function lastEvents(path: string, spec: EventFilterSpec, count: number): string[] {
  const {sessions: _sessions, processes: _processes, ...ofLines} = spec;
  const filter = eventFilter(ofLines);
  let found: string[] = [];
  for (const part of eventFiles(path)) {
    if (found.length >= count) break;
    const bytes = readFileSync(part);
    // Only whole lines: the agent may be writing the last one.
    const lines = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
    const session = {id: '', process: {pid: 0, name: '', executable: ''}};
    const passed = filter({session, events: 0, lines})?.lines;
    if (passed !== undefined) found = [...tail(passed, count - found.length), ...found];
  }
  return found;
}

/** Youngest first: events.ndjson, events.1.ndjson, … */
function eventFiles(path: string): string[] {
  const files = [join(path, 'events.ndjson')];
  for (let part = 1; existsSync(join(path, `events.${part}.ndjson`)); part += 1) {
    files.push(join(path, `events.${part}.ndjson`));
  }
  return files.filter(file => existsSync(file));
}

function tail(lines: Buffer, count: number): string[] {
  const offsets: [number, number][] = [];
  forEachLine(lines, (start, end) => {
    offsets.push([start, end]);
  });
  return offsets.slice(-count).map(([start, end]) => lines.toString('utf8', start, end));
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === 'ENOENT') return [];
    throw new ScopeError(
      errno === 'EACCES' ? 'NotRoot' : 'InternalError',
      `The history ${directory} can not be read.`,
      {
        cause,
        advice: 'It is owned by root: run this with sudo.',
      },
    );
  }
}
