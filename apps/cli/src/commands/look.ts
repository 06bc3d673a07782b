import {setTimeout as delay} from 'node:timers/promises';
import type {FlowView} from '@scope/sinks';
import {globMatcher} from '@scope/core';
import type {CommandContext} from '../context';
import {liveSessionsOf} from '../context';
import type {OutputFormat} from '../options';
import {bytes, duration, table} from '../output/table';

export interface LookFlags {
  readonly output?: OutputFormat;
}

/** `scope flows`: connections of scoped processes, open ones and those closed lately. */
export async function flows(
  {agent, terminal}: CommandContext,
  flags: LookFlags & {readonly open?: boolean},
): Promise<void> {
  const all = (await agent.get<{flows: FlowView[]}>('/v1/flows')).flows;
  const shown = flags.open === true ? all.filter(({closedAt}) => closedAt === undefined) : all;
  if (flags.output === 'json') {
    terminal.out(JSON.stringify({flows: shown}));
    return;
  }
  const rows = shown.map(flow => [
    `${flow.process.name}[${flow.process.pid}]`,
    flow.descriptor,
    flow.transport ?? '-',
    flow.role ?? '-',
    flow.local ?? '-',
    flow.peer ?? '-',
    bytes(flow.receivedBytes),
    bytes(flow.transmittedBytes),
    age(flow),
    state(flow),
  ]);
  const header = ['PROCESS', 'FD', 'TRANSPORT', 'ROLE', 'LOCAL', 'PEER', 'RECEIVED', 'SENT', 'AGE', 'STATE'];
  terminal.out(table(header, rows, terminal.isScreen ? terminal.width : Infinity));
}

function state({closedAt, adopted, error, closeReason}: FlowView): string {
  if (closedAt === undefined) return adopted ? 'open (adopted)' : 'open';
  return error ?? closeReason ?? 'closed';
}

function age({openedAt, closedAt}: FlowView): string {
  const end = closedAt === undefined ? Date.now() : Date.parse(closedAt);
  return duration(Math.max(0, (end - Date.parse(openedAt)) / 1000));
}

/** `scope metrics [GLOB]`: the agent's numbers, as Prometheus reads them. */
export async function metrics({agent, terminal}: CommandContext, glob: string | undefined): Promise<void> {
  const text = (await agent.text('/metrics')).trimEnd();
  if (glob === undefined) {
    terminal.out(text);
    return;
  }
  const matches = globMatcher([glob]);
  const kept = text.split('\n').filter(line => !line.startsWith('#') && matches(/^[^{ ]*/.exec(line)?.[0] ?? ''));
  if (kept.length > 0) terminal.out(kept.join('\n'));
}

const TOP_MS = 1000;
const CLEAR = '\u001b[H\u001b[2J';

/** `scope top`: sessions and their pace, redrawn each second; without a screen one reading, then it ends. */
export async function top(context: CommandContext): Promise<void> {
  const {terminal, signal} = context;
  let before = new Map<string, number>();
  let beforeAt = performance.now();
  for (let reading = 0; ; reading += 1) {
    const sessions = await liveSessionsOf(context);
    const now = performance.now();
    const seconds = (now - beforeAt) / 1000;
    const rows = sessions
      .map(({id, pid, process, counts}) => ({
        pid,
        name: process.name,
        pace: Math.round((counts.delivered - (before.get(id) ?? counts.delivered)) / Math.max(seconds, 0.001)),
        counts,
      }))
      .sort((a, b) => b.pace - a.pace)
      .map(({pid, name, pace, counts}) => [pid, name, pace, counts.delivered, counts.lost, counts.rateLimited]);
    if (terminal.isScreen || reading > 0) {
      const header = ['PID', 'NAME', 'EVENTS/S', 'EVENTS', 'LOST', 'OVER LIMIT'];
      const screen = rows.length === 0 ? 'Nothing is scoped.' : table(header, rows, terminal.width);
      terminal.out(terminal.isScreen ? `${CLEAR}${screen}` : screen);
      if (!terminal.isScreen) return;
    }
    before = new Map(sessions.map(({id, counts}) => [id, counts.delivered]));
    beforeAt = now;
    try {
      await delay(TOP_MS, undefined, {signal});
    } catch {
      return;
    }
  }
}
