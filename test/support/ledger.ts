// test/targets/ledger.c: what it says it moved, and what the events say it did.
import type {ScopeEvent} from '@scope/api';
import {carriedBy, ofKind} from './scope';

export const FAMILIES = ['pipe', 'unix', 'tcp', 'udp', 'file', 'call'] as const;
export type Family = (typeof FAMILIES)[number];

export interface Ledger {
  /** Bytes. */
  readonly moved: Readonly<Record<Family, {readonly read: number; readonly written: number}>>;
  /** Files that were opened. */
  readonly opened: number;
  /** Connections that were made, and accepted by the same program. */
  readonly called: number;
  /** Bytes of `moved.file.read` that came by preadv: not every C library leaves room for a hook there. */
  readonly byPreadv: number;
}

/** The same, without what preadv has read. */
export function withoutPreadv({moved, byPreadv, ...rest}: Ledger): Ledger {
  const {read, written} = moved.file;
  return {...rest, moved: {...moved, file: {read: read - byPreadv, written}}, byPreadv: 0};
}

const everyFamily = <T>(value: (family: Family) => T): Record<Family, T> => ({
  pipe: value('pipe'),
  unix: value('unix'),
  tcp: value('tcp'),
  udp: value('udp'),
  file: value('file'),
  call: value('call'),
});

/** The tester's own words: "pipe=READ/WRITTEN … opened=N called=N preadv=N". */
export function ledgerOf(line: string): Ledger {
  const words = new Map(line.split(' ').map(word => word.split('=', 2) as [string, string]));
  const numbers = (name: string): number[] => {
    const word = words.get(name);
    if (word === undefined) throw new Error(`a ledger without ${name}: ${line}`);
    return word.split('/').map(Number);
  };
  return {
    moved: everyFamily(family => {
      const [read = Number.NaN, written = Number.NaN] = numbers(family);
      return {read, written};
    }),
    opened: numbers('opened')[0] ?? Number.NaN,
    called: numbers('called')[0] ?? Number.NaN,
    byPreadv: numbers('preadv')[0] ?? Number.NaN,
  };
}

/** The family of a descriptor that was closed or let go; undefined for those of the harness. */
function familyOf({event, attributes}: ScopeEvent): Family | undefined {
  if (Number(attributes['scope.fd']) <= 2) return undefined;
  if (event === 'fs.close') return String(attributes['file.path']).startsWith('pipe:') ? 'pipe' : 'file';
  switch (attributes['network.transport']) {
    case 'unix':
      return 'unix';
    case 'udp':
      return 'udp';
    default:
      // Streams are there from the beginning; the calls come and go.
      return attributes['scope.adopted'] === true && attributes['scope.net.close.reason'] === 'unscoped'
        ? 'tcp'
        : 'call';
  }
}

/** What a session told, when it has ended. `folder`: where the tester's files are, as it names them itself. */
export function ledgerSeen(events: readonly ScopeEvent[], folder: string): Ledger {
  const moved = everyFamily(() => ({read: 0, written: 0}));
  for (const event of events.filter(ofKind('fs.close', 'net.close'))) {
    const family = familyOf(event);
    if (family === undefined) continue;
    const {read, written} = carriedBy([event]);
    moved[family].read += read;
    moved[family].written += written;
  }
  const opens = events.filter(ofKind('fs.open'));
  const calls = events.filter(ofKind('net.open'));
  return {
    moved,
    byPreadv: 0,
    opened: opens.filter(({attributes}) => String(attributes['file.path']).startsWith(folder)).length,
    called: calls.filter(({attributes}) => attributes['scope.net.role'] === 'server').length,
  };
}

interface Entry {
  readonly what: string;
  readonly of: (ledger: Ledger) => number;
}

const entries: readonly Entry[] = [
  ...FAMILIES.flatMap(family => [
    {what: `bytes read (${family})`, of: (ledger: Ledger) => ledger.moved[family].read},
    {what: `bytes written (${family})`, of: (ledger: Ledger) => ledger.moved[family].written},
  ]),
  {what: 'files opened', of: ({opened}) => opened},
  {what: 'connections', of: ({called}) => called},
];

/** Each figure of `seen` that is not what the tester moved between its two ledgers; none when all is right. */
export function untrue(seen: Ledger, from: Ledger, to: Ledger): string[] {
  return entries.flatMap(({what, of}) =>
    of(seen) === of(to) - of(from) ? [] : [`${what}: ${of(seen)} were seen, ${of(to) - of(from)} were moved`],
  );
}

/**
 * The same for a session that began and ended while the tester worked: `before` and `after` each are ledgers around an
 * attach and around a detach, and what was seen must lie between the least and the most that can have been seen.
 */
export function unlikely(
  seen: Ledger,
  attach: {readonly before: Ledger; readonly after: Ledger},
  detach: {readonly before: Ledger; readonly after: Ledger},
): string[] {
  return entries.flatMap(({what, of}) => {
    const least = of(detach.before) - of(attach.after);
    const most = of(detach.after) - of(attach.before);
    return of(seen) >= least && of(seen) <= most
      ? []
      : [`${what}: ${of(seen)} were seen under load, between ${least} and ${most} were moved`];
  });
}
