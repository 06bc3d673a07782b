import {eventNameAt, forEachLine, globMatcher} from '@scope/core';
import type {EventBatch} from '@scope/core';

/** What to let through; absent means any. All that is said must hold. */
export interface EventFilterSpec {
  /** Globs over event names: "http.*". */
  readonly events?: readonly string[];
  /** Session ids. */
  readonly sessions?: readonly string[];
  /** PIDs, or globs over process names. */
  readonly processes?: readonly string[];
  /** Globs over attributes, by name; looked at last, since only they need the line parsed. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** What passes of a batch: the batch itself when all does, undefined when nothing does. */
export type EventFilter = (batch: EventBatch) => EventBatch | undefined;

type LineTest = (lines: Buffer, start: number, end: number) => boolean;

export function eventFilter(spec: EventFilterSpec): EventFilter {
  const ofSession = sessionTest(spec);
  const tests = [nameTest(spec.events), attributeTest(spec.attributes)].filter(test => test !== undefined);
  return batch => {
    if (!ofSession(batch)) return undefined;
    return tests.length === 0 ? batch : keepLines(batch, (...line) => tests.every(test => test(...line)));
  };
}

/** The lines that `test` accepts. Runs of accepted lines are copied as one piece. */
export function keepLines(batch: EventBatch, test: LineTest): EventBatch | undefined {
  const {lines} = batch;
  const runs: Buffer[] = [];
  let events = 0;
  let runStart = 0;
  let runEnd = 0;
  forEachLine(lines, (start, end) => {
    if (!test(lines, start, end)) return;
    events += 1;
    if (start !== runEnd) {
      if (runEnd > runStart) runs.push(lines.subarray(runStart, runEnd));
      runStart = start;
    }
    runEnd = Math.min(end + 1, lines.length);
  });
  if (events === 0) return undefined;
  if (runStart === 0 && runEnd === lines.length) return batch;
  runs.push(lines.subarray(runStart, runEnd));
  const {summary: _ofAll, loan, ...rest} = batch;
  const kept = compact(runs, lines.length);
  const isView = kept.buffer === lines.buffer;
  return {...rest, ...(isView && loan !== undefined && {loan}), events, lines: kept};
}

/**
 * The runs as one buffer. A view of the whole batch keeps all of it in memory while it waits somewhere: it is given only
 * where it is most of it, so that what waits never holds more than twice the bytes that it is counted by.
 */
function compact(runs: readonly Buffer[], wholeBytes: number): Buffer {
  const [only] = runs;
  const length = runs.reduce((sum, run) => sum + run.length, 0);
  if (runs.length === 1 && only !== undefined && length * 2 > wholeBytes) return only;
  // Not from Node's pool: there one line that waits keeps its neighbours.
  const copy = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const run of runs) at += run.copy(copy, at);
  return copy;
}

function sessionTest({sessions, processes}: EventFilterSpec): (batch: EventBatch) => boolean {
  const matches = processes === undefined ? undefined : globMatcher(processes);
  return ({session}) =>
    (sessions === undefined || sessions.includes(session.id)) &&
    (matches === undefined || matches(session.process.name) || matches(String(session.process.pid)));
}

function nameTest(globs: readonly string[] | undefined): LineTest | undefined {
  if (globs === undefined) return undefined;
  const matches = globMatcher(globs);
  // There are few names: each is matched once.
  const known = new Map<string, boolean>();
  return (lines, start, end) => {
    const name = eventNameAt(lines, start, end);
    let passes = known.get(name);
    if (passes === undefined) {
      passes = matches(name);
      if (known.size < 256) known.set(name, passes);
    }
    return passes;
  };
}

function attributeTest(globs: Readonly<Record<string, string>> | undefined): LineTest | undefined {
  if (globs === undefined || Object.keys(globs).length === 0) return undefined;
  const tests = Object.entries(globs).map(([key, glob]) => [key, globMatcher([glob])] as const);
  return (lines, start, end) => {
    const attributes = parseAttributes(lines.toString('utf8', start, end));
    return tests.every(([key, matches]) => {
      const value = attributes[key];
      return value !== undefined && matches(typeof value === 'string' ? value : JSON.stringify(value));
    });
  };
}

function parseAttributes(line: string): Record<string, unknown> {
  try {
    const {attributes} = JSON.parse(line) as {attributes?: Record<string, unknown>};
    return attributes ?? {};
  } catch {
    return {};
  }
}
