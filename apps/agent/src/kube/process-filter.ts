import {basename} from 'node:path';
import {setFlagsFromString} from 'node:v8';
import type {ProcessFilter} from '@scope/api';
import {ScopeError} from '@scope/core';

/** What the filters look at. */
export interface FilterFacts {
  /** The kernel's short name. */
  readonly name: string;
  /** Path of the program as the process sees it. */
  readonly executable: string | undefined;
  readonly argv: readonly string[];
  /** Id inside the container. */
  readonly containerPid: number;
}

/**
 * A test for processes. All filters that are set must pass.
 * Throws InvalidArgument for a commandLine that is no expression this program can run in linear time.
 */
export function compileFilter(filter: ProcessFilter | undefined): (facts: FilterFacts) => boolean {
  const names = filter?.names?.map(globExpression);
  const commandLine = filter?.commandLine === undefined ? undefined : linearExpression(filter.commandLine);
  const pids = filter?.pids === undefined ? undefined : new Set(filter.pids);
  return facts =>
    (names?.some(name => name.test(executableName(facts)) || name.test(facts.name)) ?? true) &&
    (commandLine?.test(facts.argv.join(' ')) ?? true) &&
    (pids?.has(facts.containerPid) ?? true);
}

const executableName = ({executable, name}: FilterFacts): string =>
  executable === undefined ? name : basename(executable);

/** `*` any characters, `?` one; everything else itself. */
function globExpression(glob: string): RegExp {
  const source = glob
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return linear(`^${source}$`, 's');
}

/** RE2's grammar without flags, but that `(?s)` and `(?m)` are taken at the start, and without named classes. */
function linearExpression(source: string): RegExp {
  const [, flags = '', rest = source] = /^\(\?([ms]+)\)(.*)$/s.exec(source) ?? [];
  try {
    return linear(rest, [...new Set(flags)].join(''));
  } catch (error) {
    throw new ScopeError('InvalidArgument', `The process filter \`commandLine\`, ${source}, can not be used.`, {
      cause: error,
      advice: 'Use an RE2 expression without flags (for both cases: [aA]), lookaround and named classes.',
    });
  }
}

/**
 * The expression comes from whoever may write a ScopeAttach, the text from whoever runs a process: V8's other engine,
 * which takes linear time and refuses what needs more, keeps the two from stopping a node's agent.
 */
function linear(source: string, flags: string): RegExp {
  setFlagsFromString('--enable-experimental-regexp-engine');
  return new RegExp(source, `${flags}l`);
}
