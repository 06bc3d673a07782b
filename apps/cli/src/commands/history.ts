import {ScopeError} from '@scope/core';
import type {CommandContext} from '../context';
import type {HistoryEntry} from '../history/history-reader';
import {listHistory} from '../history/history-reader';
import type {OutputFormat} from '../options';
import {facts} from '../output/facts';
import {duration, table} from '../output/table';

export interface HistoryFlags {
  readonly output?: OutputFormat;
}

/** `scope history`: past sessions, oldest first. */
export function historyList({settings, terminal}: CommandContext, {output}: HistoryFlags): void {
  const entries = listHistory(settings.historyDirectory);
  if (output === 'json') {
    terminal.out(JSON.stringify({history: settings.historyDirectory, sessions: entries.map(({session}) => session)}));
    return;
  }
  if (entries.length === 0) {
    terminal.err(`No session was recorded in ${settings.historyDirectory} yet.`);
    return;
  }
  const rows = entries.map(({session}) => [
    session.id,
    session.pid,
    session.process.name,
    session.state,
    session.createdAt.slice(0, 19).replace('T', ' '),
    lasted(session),
    session.counts.delivered,
    session.counts.lost,
  ]);
  const header = ['SESSION', 'PID', 'NAME', 'STATE', 'STARTED', 'LASTED', 'EVENTS', 'LOST'];
  terminal.out(table(header, rows, terminal.isScreen ? terminal.width : Infinity));
}

/** `scope history show SESSION|latest`. */
export function historyShow({settings, terminal}: CommandContext, wanted: string, {output}: HistoryFlags): void {
  const entries = listHistory(settings.historyDirectory);
  const entry = wanted === 'latest' ? entries.at(-1) : entries.find(({id}) => id === wanted);
  if (entry === undefined) {
    throw new ScopeError('NoSuchSession', `There is no session ${wanted} in ${settings.historyDirectory}.`, {
      advice: 'See `scope history`.',
    });
  }
  terminal.out(output === 'json' ? JSON.stringify({...entry.session, path: entry.path}) : described(entry));
}

function described({session, path}: HistoryEntry): string {
  const {process, counts, attachment, error, problems} = session;
  const rows: (readonly [string, string | number | undefined])[] = [
    ['Session', session.id],
    ['Process', `${process.name} (${session.pid}), ${process.executable}`],
    [
      'Child of',
      session.childOf === undefined
        ? undefined
        : `process ${session.childOf.parentPid}, by session ${session.childOf.session}`,
    ],
    ['State', error === undefined ? session.state : `${session.state}: ${error.reason}: ${error.message}`],
    ['Started', session.createdAt],
    ['Ended', session.endedAt],
    ['Lasted', lasted(session)],
    [
      'Kind',
      attachment === undefined
        ? undefined
        : [attachment.kind, attachment.libc, attachment.go].filter(Boolean).join(', '),
    ],
    ['Sites', attachment === undefined ? undefined : `${attachment.sites.hooked} hooked of ${attachment.sites.found}`],
    ['Paused', attachment === undefined ? undefined : duration(attachment.stopMicroseconds / 1e6)],
    ['Events', counts.delivered],
    ['Lost', losses(counts)],
    ['Over limit', counts.rateLimited],
    ...Object.entries(counts.dropped).map(([sink, count]) => [`Dropped (${sink})`, count] as const),
    ['Rotated away', counts.rotated],
    ...problems.map(({reason, message}) => [`Problem`, `${reason}: ${message}`] as const),
    ['Files', path],
  ];
  const byName = Object.entries(session.events ?? {});
  return `${facts(rows)}${byName.length === 0 ? '' : `\n\n${table(['EVENT', 'COUNT'], byName)}`}`;
}

/** "12 (readCalls 7, readBytes 3000)" */
function losses({lost, losses: kinds = {}}: HistoryEntry['session']['counts']): string {
  const others = Object.entries(kinds).filter(([kind]) => kind !== 'records');
  return others.length === 0
    ? String(lost)
    : `${lost} (${others.map(([kind, count]) => `${kind} ${count}`).join(', ')})`;
}

function lasted({createdAt, endedAt}: HistoryEntry['session']): string {
  const seconds = (Date.parse(endedAt ?? new Date().toISOString()) - Date.parse(createdAt)) / 1000;
  return duration(Math.max(0, seconds));
}
