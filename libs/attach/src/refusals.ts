import {ScopeError} from '@scope/core';
import type {ProcessFacts} from './proc/process-table.port';

/** What is wished, and by whom. */
export interface RefusalContext {
  /** Effective user id of this process. */
  readonly uid: number;
  readonly ownPid: number;
  /** Which process is meant, where the caller knows. */
  readonly startTime?: string | undefined;
}

type Check = (facts: ProcessFacts, context: RefusalContext) => ScopeError | undefined;

const on = (facts: ProcessFacts): string => `process ${facts.pid} (${facts.name})`;
const about = (facts: ProcessFacts): {details: {pid: number; name: string}} => ({
  details: {pid: facts.pid, name: facts.name},
});

const pidReused: Check = (facts, {startTime}) =>
  startTime === undefined || startTime === facts.startTime
    ? undefined
    : new ScopeError('PIDReused', `Process ${facts.pid} is now another one (${facts.name}): the one meant has ended.`, {
        details: {pid: facts.pid, wanted: startTime, found: facts.startTime},
      });

const kernelThread: Check = facts =>
  facts.kernelThread
    ? new ScopeError('KernelThread', `Can not attach to ${on(facts)}: it is a kernel thread.`, about(facts))
    : undefined;

const zombie: Check = facts =>
  facts.zombie
    ? new ScopeError('Zombie', `Can not attach to ${on(facts)}: it is a zombie, dead but not yet waited for.`, {
        details: {...about(facts).details, parentPid: facts.parentPid},
        advice: `Nothing runs in it any more; its parent is process ${facts.parentPid}.`,
      })
    : undefined;

const ourselves: Check = (facts, {ownPid}) =>
  facts.pid === ownPid
    ? new ScopeError('InvalidArgument', `Can not attach to ${on(facts)}: it is the agent itself.`, about(facts))
    : undefined;

const traced: Check = facts =>
  facts.tracerPid === 0
    ? undefined
    : new ScopeError('AlreadyTraced', `Can not attach to ${on(facts)}: process ${facts.tracerPid} traces it.`, {
        details: {...about(facts).details, tracerPid: facts.tracerPid},
        advice: `End the debugger or tracer (process ${facts.tracerPid}) and try again.`,
      });

/** In the order in which a person would want to hear them. */
const CHECKS: readonly Check[] = [pidReused, kernelThread, zombie, ourselves, traced];

/** The rights that any attach needs; undefined when they are there. */
export function refuseRights(uid: number, doing: string): ScopeError | undefined {
  if (uid === 0) return undefined;
  return new ScopeError('NotRoot', `${doing} needs root, and this runs as user ${uid}.`, {details: {uid}});
}

/** What can be refused by looking from outside, before anything is started: the first reason that holds. */
export function refuseProcess(facts: ProcessFacts, context: RefusalContext): ScopeError | undefined {
  for (const check of CHECKS) {
    const refusal = check(facts, context);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

export function alreadyScoped(pid: number, name: string, session: string): ScopeError {
  return new ScopeError('AlreadyScoped', `Process ${pid} (${name}) is already scoped.`, {
    details: {pid, session},
    advice: `See its events with \`scope events --pid ${pid}\`, or end it with \`scope detach ${pid}\`.`,
  });
}

/** It has another reader: whoever replaced it would take its events from under it. */
export function scopedByAnother(pid: number, name: string, reader: number): ScopeError {
  return new ScopeError(
    'AlreadyScoped',
    `Process ${pid} (${name}) is already scoped, by the agent of process ${reader}.`,
    {
      details: {pid, agent: reader},
      advice: 'Ask that agent for its events (SCOPE_SOCKET names its socket), or detach there first.',
    },
  );
}

/** No refusal: what a session of such a process is short of. */
export function usesIoUring({pid, name}: Pick<ProcessFacts, 'pid' | 'name'>): ScopeError {
  const text = `Process ${pid} (${name}) uses io_uring: what goes through it makes no system call and is not seen.`;
  return new ScopeError('PartlySeen', text, {details: {pid}});
}

export function noSuchProcess(pid: number): ScopeError {
  return new ScopeError('NoSuchProcess', `There is no process ${pid}.`, {details: {pid}});
}
