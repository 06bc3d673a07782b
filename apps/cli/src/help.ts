import type {Command} from 'commander';
import {EXIT_CODES} from '@scope/core';
import {table} from './output/table';

/** Command lines that can be copied, each with what it does (or ""). */
export function examples(lines: readonly (readonly [command: string, does: string])[]): string {
  return `\nExamples:\n${indented(lines)}`;
}

/** What of `program` is the same for every verb: set before the verbs are added, which inherit it. */
export function setTone(program: Command): void {
  const name = program.name();
  program
    .showSuggestionAfterError()
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'how a command is used')
    .showHelpAfterError(`See \`${name} --help\`.`)
    .configureOutput({
      outputError: (text, write) => {
        write(text.replace(/^error: /, `${name}: `));
      },
    })
    .exitOverride();
}

export function exitCodes(): string {
  return `\nExit codes:\n${indented(Object.entries(EXIT_CODES).map(([code, meaning]) => [code.padStart(3), meaning]))}`;
}

/** Of the command on a host. */
export function environment(): string {
  return `\nEnvironment:\n${indented([
    ['SCOPE_SOCKET', 'the agent’s socket (default: /run/scope/agent.sock)'],
    ['SCOPE_HISTORY', 'where sessions’ histories are kept (default: ~/.scope/history)'],
    ['NO_COLOR', 'any value: no colours'],
  ])}`;
}

function indented(rows: readonly (readonly string[])[]): string {
  return table(['', ''], rows)
    .split('\n')
    .slice(1)
    .map(line => `  ${line}`)
    .join('\n');
}
