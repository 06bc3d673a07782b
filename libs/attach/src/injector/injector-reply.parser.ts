import {isReason} from '@scope/api';
import {ScopeError} from '@scope/core';
import * as z from 'zod/mini';
import type {InjectorReport} from './injector.port';

const optionalText = z.nullish(z.string());

const reportSchema = z.object({
  abi: z._default(z.int(), 0),
  pid: z.int(),
  startTime: z.nullish(z.union([z.string(), z.number()])),
  ring: z.nullish(z.object({address: z.string(), bytes: z.number(), mapFile: z.string()})),
  target: z.object({
    kind: z.string(),
    libc: optionalText,
    go: optionalText,
    executable: optionalText,
    threads: z._default(z.int(), 1),
    ioUrings: z._default(z.int(), 0),
  }),
  sites: z.object({
    found: z.int(),
    hooked: z.int(),
    skipped: z._default(z.array(z.object({reason: z.string(), count: z.int()})), []),
  }),
  stop: z.nullish(z.object({microseconds: z.number()})),
  otherBuild: z.nullish(z.boolean()),
});

/** How one run of the injector ended. */
export interface InjectorRun {
  readonly stdout: string;
  readonly stderr: string;
  /** Null when a signal ended it. */
  readonly code: number | null;
}

/**
 * The object on the last line of stdout. Throws the ScopeError that a refusal names; InternalError, with the end of
 * what it said on stderr, when it died without an answer.
 */
export function parseReply(verb: string, pid: number, run: InjectorRun): Readonly<Record<string, unknown>> {
  const reply = parseObject(run.stdout.trimEnd().split('\n').at(-1) ?? '');
  if (reply?.ok === true) return reply;
  if (reply !== undefined && isReason(reply.reason)) {
    const {reason, message, advice, details} = reply;
    throw new ScopeError(reason, typeof message === 'string' ? message : `${verb} of process ${pid} was refused.`, {
      details: {pid, ...(typeof details === 'object' ? details : {})},
      ...(typeof advice === 'string' && {advice}),
    });
  }
  const said = run.stderr.trim().split('\n').slice(-5).join('\n');
  throw new ScopeError(
    'InternalError',
    `The injector ended without an answer (${verb} of process ${pid}, exit code ${run.code ?? 'none'}): ${said || 'it said nothing'}`,
    {details: {pid, verb, code: run.code, reply}},
  );
}

/** Throws InternalError when the reply is not of the agreed shape: the process may then be patched all the same. */
export function parseReport(reply: Readonly<Record<string, unknown>>): InjectorReport {
  const parsed = reportSchema.safeParse(reply);
  if (!parsed.success) {
    throw new ScopeError(
      'InternalError',
      `The injector's answer has an unexpected shape: ${z.prettifyError(parsed.error)}`,
    );
  }
  const {ring, target, sites, stop, startTime, otherBuild, ...rest} = parsed.data;
  const {libc, go, executable} = target;
  return {
    ...rest,
    startTime: String(startTime ?? ''),
    ...(ring && {ring}),
    target: {
      kind: target.kind,
      threads: target.threads,
      ioUrings: target.ioUrings,
      ...(typeof libc === 'string' && {libc}),
      ...(typeof go === 'string' && {go}),
      ...(typeof executable === 'string' && {executable}),
    },
    sites,
    stopMicroseconds: stop?.microseconds ?? 0,
    isOfAnotherBuild: otherBuild === true,
    raw: reply,
  };
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
