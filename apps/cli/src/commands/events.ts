import type {ScopeEvent} from '@scope/api';
import {EVENT_NAMES} from '@scope/api';
import {ScopeError, globMatcher} from '@scope/core';
import type {EventFilterSpec} from '@scope/pipeline';
import pc from 'picocolors';
import type {CommandContext} from '../context';
import {liveSessionsOf} from '../context';
import {latestSession, lastEvents, listHistory} from '../history/history-reader';
import type {OutputFormat} from '../options';
import {eventText} from '../output/event-text';
import {didYouMean} from '../target/nearest';

export interface EventsFlags {
  readonly follow?: boolean;
  readonly last?: number;
  readonly event?: readonly string[];
  readonly session?: readonly string[];
  readonly pid?: readonly string[];
  readonly process?: readonly string[];
  readonly match?: readonly string[];
  readonly output?: OutputFormat;
}

const LAST_BY_DEFAULT = 20;

/**
 * `scope events`: the last ones and, with -f, those that come. From the agent while it has the session, else from
 * history. Text on a screen, NDJSON otherwise, unless -o says.
 */
export async function events(context: CommandContext, flags: EventsFlags): Promise<void> {
  const print = printer(context, flags.output ?? (context.terminal.isScreen ? 'text' : 'json'));
  const spec = filterSpec(flags);
  const follow = flags.follow === true;
  const live = await liveSessionsOf(context);
  const isLive = live.some(({id}) => flags.session === undefined || flags.session.includes(id));
  const last = flags.last ?? (follow ? 0 : LAST_BY_DEFAULT);
  if (follow) {
    if (!isLive && live.length === 0) await context.agent.get('/v1/health');
    await stream(context, spec, last, true, print);
    return;
  }
  const history = listHistory(context.settings.historyDirectory);
  const wanted =
    flags.session === undefined
      ? latestSession(history.filter(({id}) => live.length === 0 || live.some(session => session.id === id)))
      : history.filter(({id}) => flags.session?.includes(id));
  if (wanted.length === 0 && !isLive) {
    throw nothingThere(flags.session, context.settings.historyDirectory);
  }
  if (wanted.length === 0 || (live.length > 1 && flags.session === undefined))
    await stream(context, spec, last, false, print);
  else for (const {path} of wanted) for (const line of lastEvents(path, spec, last)) print(line);
}

function printer({terminal}: CommandContext, output: OutputFormat): (line: string) => void {
  if (output === 'json') return terminal.out;
  return line => {
    terminal.out(eventText(JSON.parse(line) as ScopeEvent, pc));
  };
}

async function stream(
  context: CommandContext,
  spec: EventFilterSpec,
  last: number,
  follow: boolean,
  print: (line: string) => void,
): Promise<void> {
  const query = new URLSearchParams();
  if (follow) query.set('follow', '');
  if (last > 0) query.set('last', String(last));
  for (const value of spec.events ?? []) query.append('event', value);
  for (const value of spec.sessions ?? []) query.append('session', value);
  for (const value of spec.processes ?? []) query.append('process', value);
  for (const [key, glob] of Object.entries(spec.attributes ?? {})) query.append('attribute', `${key}=${glob}`);
  try {
    const response = await context.agent.stream(`/v1/events?${query.toString()}`, context.signal);
    let rest = '';
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) print(line);
    }
  } catch (thrown) {
    // Ctrl-C, or the agent ended with its last session: both are the stream's natural end.
    if (!context.signal.aborted && !(thrown instanceof Error && 'code' in thrown && thrown.code === 'ECONNRESET'))
      throw thrown;
  }
}

function filterSpec({event, session, pid, process, match}: EventsFlags): EventFilterSpec {
  const attributes = (match ?? []).map((pair): [string, string] => {
    const at = pair.indexOf('=');
    if (at < 1) throw new ScopeError('InvalidArgument', `--match takes KEY=GLOB, not: ${pair}`);
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  for (const glob of event ?? []) refuseUnknownEvent(glob);
  for (const one of pid ?? []) {
    if (!/^[1-9]\d*$/.test(one)) throw new ScopeError('InvalidArgument', `--pid takes a PID, not: ${one}`);
  }
  const processes = [...(pid ?? []), ...(process ?? [])];
  return {
    ...(event && {events: event}),
    ...(session && {sessions: session}),
    ...(processes.length > 0 && {processes}),
    ...(attributes.length > 0 && {attributes: Object.fromEntries(attributes)}),
  };
}

/** A glob that no event's name matches would show nothing, for ever. */
function refuseUnknownEvent(glob: string): void {
  if (EVENT_NAMES.some(globMatcher([glob]))) return;
  const family = EVENT_NAMES.some(name => name.startsWith(`${glob}.`));
  const hint = family ? ` Did you mean ${glob}.*?` : didYouMean(glob, EVENT_NAMES);
  throw new ScopeError('InvalidArgument', `No event is called ${glob}.${hint}`, {
    advice: `There are ${EVENT_NAMES.join(', ')}.`,
  });
}

function nothingThere(sessions: readonly string[] | undefined, history: string): ScopeError {
  return sessions === undefined
    ? new ScopeError('NoSuchSession', `Nothing is scoped, and there is no past session in ${history}.`, {
        advice: 'Begin with `scope attach PID`.',
      })
    : new ScopeError('NoSuchSession', `There is no session ${sessions.join(', ')}, neither live nor in ${history}.`, {
        advice: 'See `scope history` for the past ones.',
      });
}
