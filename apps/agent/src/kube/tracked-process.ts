import type {ProcessEntry, ProcessState} from '@scope/api';
import type {SessionView} from '@scope/attach';
import {isFinal} from '@scope/attach';
import type {ScopeError} from '@scope/core';
import {rfc3339} from '@scope/kube';
import type {ContainerProcess} from './container-process';

/** What the agent remembers of one process of a target. */
export interface TrackedProcess {
  readonly process: ContainerProcess;
  readonly state: ProcessState;
  readonly reason?: string;
  readonly message?: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly sessionId?: string;
  /** Sent and lost when the state was reached. */
  readonly events: number;
  readonly lost: number;
  /** Attempts that failed so far. */
  readonly failures: number;
  /** When a failed one is tried again (monotonic milliseconds); absent: not before something changes. */
  readonly retryAt?: number;
}

/** Names one process for ever: an id is used again, an id with a start time is not. */
export const identityOf = ({pid, startTime}: {readonly pid: number; readonly startTime: string}): string =>
  `${pid}:${startTime}`;

export function newlyTracked(process: ContainerProcess, now: number): TrackedProcess {
  return {process, state: 'Pending', since: now, events: 0, lost: 0, failures: 0};
}

/** The process as its session shows it. A session that is over for no fault of the process leaves it to be tried again. */
export function withSession(tracked: TrackedProcess, view: SessionView, now: number): TrackedProcess {
  const {reason: _reason, message: _message, retryAt: _retryAt, ...kept} = tracked;
  const state = stateOf(view);
  const {counts} = view;
  // Of a process that is scoped: what of it is not seen.
  const error = view.error ?? view.problems.find(({reason}) => reason === 'PartlySeen');
  const next: TrackedProcess = {
    ...kept,
    state,
    since: tracked.state === state ? tracked.since : now,
    sessionId: view.id,
    ...(error !== undefined && {reason: error.reason, message: `${error.message} ${error.advice}`.trim()}),
    ...(tracked.state !== state && {events: counts.delivered, lost: notToldOf(counts)}),
    ...(state === 'Scoped' && {failures: 0}),
  };
  return isFinal(view.state) && next.state === 'Detached' ? {...next, retryAt: 0} : next;
}

export function withFailure(
  tracked: TrackedProcess,
  error: ScopeError,
  now: number,
  retryAt: number | undefined,
): TrackedProcess {
  const {retryAt: _retryAt, sessionId: _sessionId, ...kept} = tracked;
  return {
    ...kept,
    state: 'Failed',
    reason: error.reason,
    message: `${error.message} ${error.advice}`.trim(),
    since: tracked.state === 'Failed' ? tracked.since : now,
    failures: tracked.failures + 1,
    ...(retryAt !== undefined && {retryAt}),
  };
}

export function withEnd(tracked: TrackedProcess, now: number): TrackedProcess {
  const {retryAt: _retryAt, ...kept} = tracked;
  return {...kept, state: 'Exited', since: tracked.state === 'Exited' ? tracked.since : now};
}

/** What the status's `events` is short of. */
export const notToldOf = ({lost, rateLimited}: SessionView['counts']): number => lost + rateLimited;

function stateOf({state}: SessionView): ProcessState {
  switch (state) {
    case 'Pending':
    case 'Planning':
    case 'Attaching':
      return 'Pending';
    case 'Scoped':
    case 'Detaching':
      return 'Scoped';
    case 'Detached':
    case 'Failed':
    case 'Exited':
      return state;
  }
}

/** As a ScopeTarget's status shows it. */
export function entryOf({process, state, reason, message, since, events, lost}: TrackedProcess): ProcessEntry {
  return {
    container: process.container.name,
    pid: process.containerPid,
    name: process.name.slice(0, 255),
    state,
    ...(reason !== undefined && {reason}),
    ...(message !== undefined && {message: message.slice(0, 1024)}),
    since: rfc3339(since),
    events,
    lost,
  };
}
