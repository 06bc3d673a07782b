import type {BatchSummary} from '@scope/core';
import {ScopeError} from '@scope/core';
import type {NativeEnd, NativeEndReason, NativeStats} from './native-hub.port';

const END_REASONS: readonly NativeEndReason[] = ['detached', 'exited', 'exec', 'error'];

export const NO_STATS: NativeStats = {
  records: 0,
  events: 0,
  eventsByName: {},
  lost: {},
  unparsedBytes: 0,
  io: {},
  flushed: 0,
  descriptors: 0,
  threads: 0,
  ioUrings: 0,
};

type Fields = Readonly<Record<string, unknown>>;

/** Counts that the decoder left out, or that are no numbers, are 0. */
export function parseStats(json: string): NativeStats {
  return toStats(fieldsOf(json));
}

/** What can't be read is an end too, with reason error: the session is over either way. */
export function parseEnd(json: string): NativeEnd {
  const {reason, message, stats} = fieldsOf(json);
  const known = END_REASONS.find(word => word === reason);
  const text = typeof message === 'string' && message !== '' ? message : undefined;
  return {
    reason: known ?? 'error',
    ...(known === undefined ? {message: `The decoder ended with ${json}`} : text !== undefined && {message: text}),
    stats: toStats(isFields(stats) ? stats : {}),
  };
}

/** The decoder's refusal to open a session, as our error. */
export function parseRefusal(json: string): ScopeError {
  return (
    ScopeError.fromView(fieldsOf(json)) ?? new ScopeError('InternalError', `The decoder refused the session: ${json}`)
  );
}

/** Undefined where there is none: whoever counts then reads the lines. */
export function parseSummary(json: string): BatchSummary | undefined {
  const {events, exchanges} = json === '' ? {} : fieldsOf(json);
  if (!isFields(events) || !Array.isArray(exchanges)) return undefined;
  return {events: events as BatchSummary['events'], exchanges: exchanges as BatchSummary['exchanges']};
}

function toStats(fields: Fields): NativeStats {
  const count = (key: keyof NativeStats): number => toCount(fields[key]);
  return {
    records: count('records'),
    events: count('events'),
    eventsByName: toCounts(fields.eventsByName),
    lost: toCounts(fields.lost),
    unparsedBytes: count('unparsedBytes'),
    io: toCounts(fields.io),
    flushed: count('flushed'),
    descriptors: count('descriptors'),
    threads: count('threads'),
    ioUrings: count('ioUrings'),
  };
}

function toCounts(value: unknown): Readonly<Record<string, number>> {
  if (!isFields(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([what, count]) => [what, toCount(count)]));
}

function toCount(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function fieldsOf(json: string): Fields {
  try {
    const value: unknown = JSON.parse(json);
    return isFields(value) ? value : {};
  } catch {
    return {};
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
