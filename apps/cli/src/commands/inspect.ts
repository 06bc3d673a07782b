import {accessSync, constants, readFileSync} from 'node:fs';
import {arch, release} from 'node:os';
import type {ProcessFacts, SessionView} from '@scope/attach';
import {refuseProcess, refuseRights} from '@scope/attach';
import {ScopeError} from '@scope/core';
import type {CommandContext} from '../context';
import {isAbout, liveSessionsOf, ownPids} from '../context';
import type {OutputFormat} from '../options';
import {coverageText, parseSurvey} from '../output/coverage';
import {table} from '../output/table';
import {cLibraryOf} from '../target/c-library';
import {resolveTarget} from '../target/resolve-target';

export interface InspectFlags {
  readonly output?: OutputFormat;
}

/** `scope inspect PID|NAME`: what exactly is hooked in it, what not, and why. */
export async function inspect(context: CommandContext, target: string, {output}: InspectFlags): Promise<void> {
  const forbidden = refuseRights(context.uid, 'scope inspect');
  if (forbidden !== undefined) throw forbidden;
  const sessions = await liveSessionsOf(context);
  const facts = await resolveTarget(
    target,
    context.processes,
    candidate => sessions.some(session => isAbout(session, candidate)),
    context.terminal,
    await ownPids(context),
  );
  const session = sessions.find(candidate => isAbout(candidate, facts));
  const found = {...(await context.injector.inspect({pid: facts.pid})), ...(session && {session})};
  context.terminal.out(output === 'json' ? JSON.stringify(found) : report(context, found, facts, session));
}

/** `scope check [PID|NAME]`: would attach work here? Changes nothing. Rejects with the first thing that forbids it. */
export async function check(
  context: CommandContext,
  target: string | undefined,
  {output}: InspectFlags,
): Promise<void> {
  const {terminal, uid} = context;
  const host = hostFindings(context);
  if (target === undefined) {
    terminal.out(output === 'json' ? JSON.stringify({host}) : hostTable(host));
    const bad = host.find(({error}) => error !== undefined)?.error;
    if (bad !== undefined) throw bad;
    return;
  }
  const forbidden = refuseRights(uid, 'scope check of a process');
  if (forbidden !== undefined) throw forbidden;
  const facts = await resolveTarget(target, context.processes, () => false, terminal, await ownPids(context));
  const refusal = refuseProcess(facts, {uid, ownPid: process.pid});
  if (refusal !== undefined) throw refusal;
  const {raw} = await context.injector.check({pid: facts.pid});
  terminal.out(output === 'json' ? JSON.stringify(raw) : report(context, raw, facts));
}

/** For reading, not for programs (-o json is). */
function report({terminal}: CommandContext, raw: unknown, {pid, name}: ProcessFacts, session?: SessionView): string {
  const survey = parseSurvey(raw);
  if (survey === undefined) {
    throw new ScopeError('ABIMismatch', 'The injector told what this command can not read; -o json shows it as it is.');
  }
  const holder =
    session === undefined
      ? undefined
      : `${session.id} by ${session.owners.join(', ')}, since ${session.scopedAt ?? '?'}`;
  const width = terminal.isScreen ? terminal.width : Infinity;
  return coverageText(survey, {pid, name, libc: cLibraryOf(pid), session: holder}, width);
}

interface Finding {
  readonly what: string;
  readonly found: string;
  readonly error?: ScopeError;
}

function hostFindings({uid, settings}: CommandContext): Finding[] {
  const notRoot = refuseRights(uid, 'scope attach');
  const isX64 = arch() === 'x64';
  const foreign = new ScopeError('UnsupportedArchitecture', `This is ${arch()}; only x86-64 is supported so far.`);
  return [
    {what: 'kernel', found: release()},
    {what: 'processor', found: arch(), ...(!isX64 && {error: foreign})},
    {what: 'user', found: `uid ${uid}`, ...(notRoot && {error: notRoot})},
    {what: 'yama ptrace_scope', found: readSetting('/proc/sys/kernel/yama/ptrace_scope')},
    {what: 'injector', ...part(settings.injectorPath)},
    {what: 'agent', ...part(`${settings.dist}/agent.cjs`)},
  ];
}

function part(path: string): {found: string; error?: ScopeError} {
  try {
    accessSync(path, constants.R_OK);
    return {found: path};
  } catch {
    return {found: 'missing', error: new ScopeError('NotBuilt', `${path} is missing.`)};
  }
}

function readSetting(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return 'not there';
  }
}

function hostTable(findings: readonly Finding[]): string {
  return table(
    ['CHECK', 'OK', 'FOUND'],
    findings.map(({what, found, error}) => [what, error === undefined ? 'yes' : error.reason, found]),
  );
}
