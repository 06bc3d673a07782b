import {basename} from 'node:path';
import {ScopeError} from '@scope/core';
import type {ProcessFacts} from './proc/process-table.port';

/** What a person names a process by. */
export type TargetArgument =
  {readonly kind: 'pid'; readonly pid: number} | {readonly kind: 'name'; readonly name: string};

/**
 * A whole number is a PID, anything else a NAME. Throws InvalidArgument for 0, negative numbers, numbers no process
 * can have, and nothing at all.
 */
export function parseTarget(argument: string): TargetArgument {
  const text = argument.trim();
  if (text === '') throw new ScopeError('InvalidArgument', 'Neither a PID nor a NAME was given.');
  if (!/^[+-]?\d+$/.test(text)) return {kind: 'name', name: text};
  return {kind: 'pid', pid: checkPid(Number(text))};
}

/** `pid` itself when a process could have it; else throws InvalidArgument. */
export function checkPid(pid: unknown): number {
  if (typeof pid === 'number' && Number.isInteger(pid) && pid > 0 && pid <= 2 ** 31 - 1) return pid;
  throw new ScopeError(
    'InvalidArgument',
    `${typeof pid === 'string' ? JSON.stringify(pid) : String(pid)} is not the PID of a process.`,
    {
      details: {pid},
      advice: 'A PID is a whole number greater than 0. `scope ps` lists the processes.',
    },
  );
}

/** True when the process bears that name: its comm, its program's file name, or the file name of its first argument. */
export function bearsName(facts: ProcessFacts, name: string): boolean {
  const [argv0 = ''] = facts.argv;
  return (
    facts.name === name ||
    (facts.executable !== undefined && basename(facts.executable) === name) ||
    (argv0 !== '' && basename(argv0) === name)
  );
}

/**
 * The processes that `name` may mean, in ascending order of pid, without those in `except` (ourselves). Zombies and
 * kernel threads only when nothing else bears the name: then the refusal says what they are.
 */
export function findByName(
  processes: readonly ProcessFacts[],
  name: string,
  except: readonly number[],
): ProcessFacts[] {
  const bearers = processes.filter(facts => bearsName(facts, name) && !except.includes(facts.pid));
  const alive = bearers.filter(facts => !facts.zombie && !facts.kernelThread);
  return alive.length > 0 ? alive : bearers;
}

/** One line for people: the arguments, else [name] as ps(1) prints it. Control characters become "?". */
export function commandLine(facts: ProcessFacts): string {
  const text = facts.argv.length > 0 ? facts.argv.join(' ').trim() : '';

  return text === '' ? `[${facts.name}]` : text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
