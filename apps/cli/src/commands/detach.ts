import type {SessionView} from '@scope/attach';
import {FileJournal, parseTarget, refuseRights} from '@scope/attach';
import {ScopeError} from '@scope/core';
import type {CommandContext} from '../context';
import {isAbout, liveSessionsOf, ownPids} from '../context';
import type {OutputFormat} from '../options';
import {resolveTarget} from '../target/resolve-target';

export interface DetachFlags {
  readonly all?: boolean;
  readonly output?: OutputFormat;
}

/** `scope detach PID|NAME|SESSION|--all`. Resolves when every process meant runs its own code again. */
export async function detach(context: CommandContext, target: string | undefined, flags: DetachFlags): Promise<void> {
  const forbidden = refuseRights(context.uid, 'scope detach');
  if (forbidden !== undefined) throw forbidden;
  if ((target === undefined) === (flags.all !== true)) {
    throw new ScopeError('InvalidArgument', 'Give either one PID or NAME, or --all.');
  }
  const sessions = await liveSessionsOf(context);
  const meant = target === undefined ? sessions : await sessionsMeant(context, target, sessions);
  const ended: SessionView[] = [];
  for (const {id} of meant) {
    const view = await context.agent.delete<SessionView>(`/v1/sessions/${encodeURIComponent(id)}`);
    ended.push(view);
    if (flags.output !== 'json') context.terminal.out(said(view));
  }
  if (flags.output === 'json') context.terminal.out(JSON.stringify({sessions: ended}));
  else if (target === undefined && meant.length === 0) context.terminal.out('Nothing is scoped.');
}

/** Empty when the process was no session's, but something that an agent left behind was taken away. */
async function sessionsMeant(context: CommandContext, target: string, sessions: SessionView[]): Promise<SessionView[]> {
  const byId = sessions.filter(({id}) => id === target);
  if (byId.length > 0) return byId;
  const parsed = parseTarget(target);
  if (parsed.kind === 'name') {
    const [only, ...others] = sessions.filter(({process}) => process.name === parsed.name);
    if (only !== undefined && others.length === 0) return [only];
  }
  const scoped = (facts: Parameters<typeof isAbout>[1]): boolean => sessions.some(session => isAbout(session, facts));
  const facts = await resolveTarget(target, context.processes, scoped, context.terminal, await ownPids(context));
  const session = sessions.find(candidate => isAbout(candidate, facts));
  if (session !== undefined) return [session];
  await mend(context, facts.pid, facts.startTime);
  return [];
}

/** Lets go of a process that an agent which died left scoped; NotScoped when there is nothing to do. */
async function mend(context: CommandContext, pid: number, startTime: string): Promise<void> {
  await context.injector.detach({pid});
  new FileJournal(`${context.settings.socketPath}.d/sessions`).remove(pid, startTime);
  context.terminal.out(`Detached from process ${pid}, which an agent that is gone had left scoped.`);
}

function said({pid, process, state, counts, history}: SessionView): string {
  const how =
    state === 'Exited'
      ? `Process ${pid} (${process.name}) has ended`
      : `Detached from process ${pid} (${process.name})`;
  const lost = counts.lost > 0 ? `, ${counts.lost} records lost` : '';
  return `${how}: ${counts.delivered} events${lost}.${history === undefined ? '' : ` History: ${history}`}`;
}
