import type {ProcessFacts, ProcessTable} from '@scope/attach';
import {findByName, noSuchProcess, parseTarget} from '@scope/attach';
import {ScopeError} from '@scope/core';
import type {Terminal} from '../output/terminal';
import {chooseProcess} from './choose-process';
import {didYouMean} from './nearest';

/**
 * The process that PID or NAME means. Throws InvalidArgument (0, negative…), NoSuchProcess, AmbiguousName. A name never
 * means those in `except` (this command, the agent).
 */
export async function resolveTarget(
  argument: string,
  processes: ProcessTable,
  isScoped: (facts: ProcessFacts) => boolean,
  terminal: Terminal,
  except: readonly number[],
): Promise<ProcessFacts> {
  const target = parseTarget(argument);
  if (target.kind === 'pid') {
    const facts = processes.read(target.pid);
    if (facts === undefined) throw noSuchProcess(target.pid);
    return facts;
  }
  const bearers = findByName(processes.list(), target.name, except);
  const [only] = bearers;
  if (only === undefined) {
    const near = didYouMean(target.name, namesOf(processes, except));
    throw new ScopeError('NoSuchProcess', `No process bears the name ${target.name}.${near}`, {
      details: {name: target.name},
    });
  }
  return bearers.length === 1 ? only : chooseProcess(target.name, bearers, isScoped, terminal);
}

function namesOf(processes: ProcessTable, except: readonly number[]): string[] {
  return processes
    .list()
    .filter(({kernelThread, pid}) => !kernelThread && !except.includes(pid))
    .map(({name}) => name);
}
