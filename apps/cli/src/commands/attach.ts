import type {SessionView} from '@scope/attach';
import {alreadyScoped, refuseProcess, refuseRights} from '@scope/attach';
import {ScopeError} from '@scope/core';
import {ensureAgent} from '../agent/agent-launcher';
import type {CommandContext} from '../context';
import {isAbout, liveSessionsOf, ownPids} from '../context';
import type {CaptureFlags, OutputFormat} from '../options';
import {parseCapture} from '../options';
import {duration} from '../output/table';
import {resolveTarget} from '../target/resolve-target';

/** By whom this command's claims on a process are held. */
const OWNER = 'cli';

export interface AttachFlags extends CaptureFlags {
  readonly for?: number;
  readonly rateLimit?: number;
  readonly children?: boolean;
  readonly payloadBytes?: number;
  /** A folder; false: none. */
  readonly history?: string | false;
  readonly output?: OutputFormat;
}

/** `scope attach PID|NAME`. Resolves when the process is scoped; rejects with nothing left behind in it. */
export async function attach(context: CommandContext, target: string, flags: AttachFlags): Promise<void> {
  const {terminal, uid, processes} = context;
  const forbidden = refuseRights(uid, 'scope attach');
  if (forbidden !== undefined) throw forbidden;
  refuseWhatIsNotThere(flags);
  const capture = parseCapture(flags);
  const sessions = await liveSessionsOf(context);
  const isScoped = (facts: Parameters<typeof isAbout>[1]): boolean => sessions.some(session => isAbout(session, facts));
  const facts = await resolveTarget(target, processes, isScoped, terminal, await ownPids(context));
  // What can be refused by looking is refused before an agent is started for it.
  const refusal = isScoped(facts) ? undefined : refuseProcess(facts, {uid, ownPid: process.pid});
  if (refusal !== undefined) throw refusal;
  const mine = sessions.find(session => isAbout(session, facts) && session.owners.includes(OWNER));
  if (mine !== undefined) throw alreadyScoped(facts.pid, facts.name, mine.id);

  const talk = flags.output === 'json' ? terminal.err : terminal.out;
  const history = flags.history === false ? undefined : (flags.history ?? context.settings.historyDirectory);
  if (history !== undefined) talk(`WARNING: Session history will be stored in ${history} and owned by root`);
  talk(`Attaching to process ${facts.pid}`);

  const request = {
    pid: facts.pid,
    startTime: facts.startTime,
    owner: OWNER,
    capture,
    ...(history !== undefined && {historyDirectory: history}),
    ...(flags.children === true && {children: true}),
    ...(flags.for !== undefined && {activeDeadlineSeconds: flags.for}),
    ...(flags.rateLimit !== undefined && {rateLimit: {eventsPerSecond: flags.rateLimit}}),
  };
  const view = await post(context, request);
  for (const {message} of view.problems) talk(`WARNING: ${message}`);
  if (flags.output === 'json') terminal.out(JSON.stringify(view));
  else terminal.out(summary(view));
}

function refuseWhatIsNotThere({payloadBytes}: AttachFlags): void {
  if (payloadBytes !== undefined && payloadBytes > 0) {
    throw new ScopeError('NotSupported', 'Events that carry the bytes of each transfer are not there yet.', {
      advice: 'What was said on standard output and error is in console.line events: --capture console.',
    });
  }
}

/** An agent that is just ending may take the connection and drop it: then the next one is asked. */
async function post(context: CommandContext, request: unknown): Promise<SessionView> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const agent = await ensureAgent(context.settings);
      return await agent.post<SessionView>('/v1/sessions', request);
    } catch (thrown) {
      const error = ScopeError.of(thrown);
      if (error.reason !== 'AgentUnavailable' || attempt >= 2) throw error;
    }
  }
}

function summary({pid, process, attachment, id}: SessionView): string {
  const pause = attachment === undefined ? '' : `, paused for ${duration(attachment.stopMicroseconds / 1e6)}`;
  const sites =
    attachment === undefined ? '' : `: ${attachment.sites.hooked} of ${attachment.sites.found} call sites hooked`;
  return `Scoped ${process.name} (${pid}) as ${id}${sites}${pause}.\nSee: scope events -f --pid ${pid}   End: scope detach ${pid}`;
}
