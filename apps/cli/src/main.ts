import {Command, CommanderError} from 'commander';
import {ScopeError} from '@scope/core';
import {addClusterVerbs} from './cluster-program';
import {createContext} from './context';
import {environment, exitCodes, setTone} from './help';
import {addHostVerbs} from './host-program';
import {processTerminal} from './output/process-terminal';
import {printable} from './output/table';
import {settingsOf} from './settings';

const USAGE_EXIT = 2;
const INTERRUPTED_EXIT = 130;

const terminal = processTerminal();

/** `scope`, or `kubectl scope` when bin/kubectl-scope says so. */
async function main(): Promise<void> {
  const interruption = new AbortController();
  process.once('SIGINT', () => {
    interruption.abort();
    // A second one, or a command that does not listen: end at once.
    setTimeout(() => process.exit(INTERRUPTED_EXIT), 200).unref();
  });
  const settings = settingsOf(process.env, __dirname);
  const inCluster = process.env.SCOPE_CLUSTER === '1';
  const program = new Command(inCluster ? 'kubectl scope' : 'scope')
    .description('See inside any program that is already running.')
    .version(settings.version, '-V, --version', 'show the version');
  setTone(program);
  if (inCluster) addClusterVerbs(program, {terminal, signal: interruption.signal});
  else addHostVerbs(program, createContext(settings, terminal, interruption.signal));
  if (!inCluster) program.addHelpText('after', environment());
  program.addHelpText('after', exitCodes());
  await program.parseAsync(process.argv);
}

main().then(
  () => {
    // Sockets that are kept open for a next request must not keep the command.
    if (process.stdout.writableLength === 0) process.exit(process.exitCode ?? 0);
  },
  (thrown: unknown) => {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode === 0 ? 0 : USAGE_EXIT;
      return;
    }
    const error = ScopeError.of(thrown);
    terminal.err(`scope: ${error.text.split('\n').map(printable).join('\n')}`);
    process.exitCode = error.exitCode;
  },
);
