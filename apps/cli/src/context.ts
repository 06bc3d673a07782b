import type {Injector, ProcessFacts, ProcessTable, SessionView} from '@scope/attach';
import {InjectorProcess, ProcFs, isFinal} from '@scope/attach';
import {ScopeError} from '@scope/core';
import {AgentClient} from './agent/agent-client';
import type {Settings} from './settings';
import type {Terminal} from './output/terminal';

/** What every verb works with. */
export interface CommandContext {
  readonly settings: Settings;
  readonly terminal: Terminal;
  readonly processes: ProcessTable;
  readonly injector: Injector;
  readonly agent: AgentClient;
  /** Effective user id. */
  readonly uid: number;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

export function createContext(settings: Settings, terminal: Terminal, signal: AbortSignal): CommandContext {
  return {
    settings,
    terminal,
    processes: new ProcFs(),
    injector: new InjectorProcess({path: settings.injectorPath}),
    agent: new AgentClient(settings.socketPath),
    uid: process.geteuid?.() ?? 0,
    signal,
  };
}

/** The agent's sessions; none when no agent runs. */
export async function sessionsOf({agent}: CommandContext): Promise<SessionView[]> {
  try {
    return (await agent.get<{sessions: SessionView[]}>('/v1/sessions')).sessions;
  } catch (thrown) {
    if (ScopeError.of(thrown).reason === 'AgentUnavailable') return [];
    throw thrown;
  }
}

export async function liveSessionsOf(context: CommandContext): Promise<SessionView[]> {
  return (await sessionsOf(context)).filter(({state}) => !isFinal(state));
}

/** The pids that a name never means: this command, and the agent. */
export async function ownPids({agent}: CommandContext): Promise<number[]> {
  try {
    return [process.pid, (await agent.get<{pid: number}>('/v1/health')).pid];
  } catch {
    return [process.pid];
  }
}

/** True for the process that the session is about, not for a later one of the same pid. */
export function isAbout(session: SessionView, facts: ProcessFacts): boolean {
  return session.pid === facts.pid && session.startTime === facts.startTime;
}
