import {commandLine, refuseProcess} from '@scope/attach';
import type {CommandContext} from '../context';
import {isAbout, liveSessionsOf} from '../context';
import type {OutputFormat} from '../options';
import {table} from '../output/table';

export interface PsFlags {
  readonly all?: boolean;
  readonly scoped?: boolean;
  readonly output?: OutputFormat;
}

/** `scope ps`: what is scoped, what can be, and what can not with the reason (as far as looking from outside tells). */
export async function ps(context: CommandContext, flags: PsFlags): Promise<void> {
  const sessions = await liveSessionsOf(context);
  const rows = context.processes
    .list()
    .filter(({kernelThread, pid}) => (flags.all === true || !kernelThread) && pid !== process.pid)
    .map(facts => {
      const session = sessions.find(candidate => isAbout(candidate, facts));
      const refusal =
        session === undefined
          ? refuseProcess(facts, {uid: 0, ownPid: process.pid})?.reason
          : session.problems.find(({reason}) => reason === 'PartlySeen')?.reason;
      return {facts, session, refusal};
    })
    .filter(({session}) => flags.scoped !== true || session !== undefined);

  if (flags.output === 'json') {
    const processes = rows.map(({facts, session, refusal}) => ({
      pid: facts.pid,
      name: facts.name,
      user: facts.user,
      command: commandLine(facts),
      scoped: session !== undefined,
      ...(refusal !== undefined && {reason: refusal}),
      ...(session !== undefined && {session: session.id, state: session.state, counts: session.counts}),
    }));
    context.terminal.out(JSON.stringify({processes}));
    return;
  }
  if (rows.length === 0 && flags.scoped === true) {
    context.terminal.err('Nothing is scoped.');
    return;
  }
  const wide = flags.output === 'wide';
  const header = ['PID', 'USER', 'SCOPED', 'REASON', ...(wide ? ['SESSION', 'EVENTS', 'LOST'] : []), 'COMMAND'];
  const cells = rows.map(({facts, session, refusal}) => [
    facts.pid,
    facts.user,
    session !== undefined,
    refusal ?? '-',
    ...(wide ? [session?.id ?? '-', session?.counts.delivered ?? '-', session?.counts.lost ?? '-'] : []),
    commandLine(facts),
  ]);
  context.terminal.out(table(header, cells, context.terminal.isScreen ? context.terminal.width : Infinity));
}
