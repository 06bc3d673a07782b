import {isReason} from '@scope/api';
import {ScopeError} from '@scope/core';
import * as z from 'zod/mini';
import {parseReport} from '../injector/injector-reply.parser';
import type {FollowerEvent} from './follower.port';

const pid = z.int().check(z.positive());
const cause = z.enum(['birth', 'exec']);
const record = z.record(z.string(), z.unknown());

const lineSchema = z.discriminatedUnion('event', [
  z.object({event: z.literal('following'), pid}),
  z.object({event: z.literal('attached'), pid, parent: z.int(), cause, report: record}),
  z.object({event: z.literal('exec'), pid}),
  z.object({
    event: z.literal('refused'),
    pid,
    parent: z.int(),
    cause,
    reason: z.string(),
    message: z.string(),
  }),
  z.object({event: z.literal('passed'), pid, parent: z.int(), passed: z.int()}),
  z.object({event: z.literal('late'), pid}),
  z.object({event: z.literal('ended'), pid}),
  z.object({event: z.literal('released'), pid}),
  z.object({event: z.literal('over')}),
]);

/** What the follower says: events for others, and what is for its own conversation with us. */
export type FollowerLine =
  | FollowerEvent
  | {readonly event: 'following' | 'released'; readonly pid: number}
  | {readonly event: 'over'}
  /** It never began. */
  | {readonly event: 'no'; readonly error: ScopeError};

/** Throws InternalError for what is none of its lines. */
export function parseFollowerLine(line: string): FollowerLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new ScopeError('InternalError', `The follower said ${JSON.stringify(line.slice(0, 200))}.`);
  }
  const refusal = refusalOf(value);
  if (refusal !== undefined) return {event: 'no', error: refusal};
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) {
    throw new ScopeError('InternalError', `The follower said something unexpected: ${z.prettifyError(parsed.error)}`);
  }
  const {data} = parsed;
  if (data.event === 'attached') return {...data, report: parseReport(data.report)};
  if (data.event !== 'refused') return data;
  const {reason, message, ...rest} = data;
  const details = {pid: data.pid, parent: data.parent};
  return {...rest, error: new ScopeError(isReason(reason) ? reason : 'InternalError', message, {details})};
}

function refusalOf(value: unknown): ScopeError | undefined {
  const {ok, reason, message} = (value ?? {}) as {ok?: unknown; reason?: unknown; message?: unknown};
  if (ok !== false || !isReason(reason)) return undefined;
  return new ScopeError(reason, typeof message === 'string' ? message : 'The follower was refused.');
}
