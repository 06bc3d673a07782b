import type {ProcessFacts} from '@scope/attach';
import {commandLine} from '@scope/attach';
import {ScopeError} from '@scope/core';
import {table} from '../output/table';
import type {Terminal} from '../output/terminal';

const HEADER = ['ID', 'PID', 'USER', 'SCOPED', 'COMMAND'];

/**
 * The one process that is meant among several of that name: asked where there is a terminal, else AmbiguousName with
 * the table on stderr.
 */
export async function chooseProcess(
  name: string,
  candidates: readonly ProcessFacts[],
  isScoped: (facts: ProcessFacts) => boolean,
  terminal: Terminal,
): Promise<ProcessFacts> {
  const rows = candidates.map((facts, index) => [
    index + 1,
    facts.pid,
    facts.user,
    isScoped(facts),
    commandLine(facts),
  ]);
  const list = table(HEADER, rows, terminal.isInteractive ? terminal.width : Infinity);
  if (!terminal.isInteractive) {
    terminal.err(`Found multiple processes matching that name...\n${list}`);
    throw new ScopeError('AmbiguousName', `${candidates.length} processes bear the name ${name}.`, {
      details: {name, pids: candidates.map(({pid}) => pid)},
    });
  }
  terminal.out(`Found multiple processes matching that name...\n${list}\nSelect an ID from the list:`);
  const answer = (await terminal.ask())?.trim() ?? '';
  const chosen = /^\d+$/.test(answer) ? candidates[Number(answer) - 1] : undefined;
  if (chosen === undefined) {
    throw new ScopeError(
      'InvalidArgument',
      answer === '' ? 'Nothing was selected.' : `There is no ID ${answer} in the list.`,
      {
        advice: `Select a number from 1 to ${candidates.length}.`,
      },
    );
  }
  return chosen;
}
