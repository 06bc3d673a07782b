import type {Command} from 'commander';
import {Option} from 'commander';
import {ScopeError} from '@scope/core';
import {attach} from './commands/attach';
import type {AttachFlags} from './commands/attach';
import {detach} from './commands/detach';
import type {DetachFlags} from './commands/detach';
import {events} from './commands/events';
import type {EventsFlags} from './commands/events';
import {historyList, historyShow} from './commands/history';
import type {HistoryFlags} from './commands/history';
import {check, inspect} from './commands/inspect';
import type {InspectFlags} from './commands/inspect';
import {flows, metrics, top} from './commands/look';
import type {LookFlags} from './commands/look';
import {ps} from './commands/ps';
import type {PsFlags} from './commands/ps';
import type {CommandContext} from './context';
import {examples} from './help';
import {collect, parseCount, parseDuration, parseOutput} from './options';
import {didYouMean} from './target/nearest';

const OUTPUT = ['-o, --output <format>', 'text or json (default: text)', parseOutput('text', 'json')] as const;
const TARGET = ['<pid|name>', 'a PID, or a name; asks which one where several processes bear it'] as const;

/** The verbs of `scope` on a host. */
export function addHostVerbs(program: Command, context: CommandContext): void {
  program.commandsGroup('Attach:');
  addAttach(program, context);
  program.commandsGroup('Look:');
  addLooking(program, context);
  addHistory(program, context);
  program.addHelpText(
    'after',
    examples([
      ['sudo scope attach nginx', 'see into a running process'],
      ['sudo scope events -f', 'what it does, as it happens'],
      ['sudo scope detach nginx', 'let go; it goes on untouched'],
    ]),
  );
}

function addAttach(program: Command, context: CommandContext): void {
  program
    .command('attach')
    .description('See into a running process, from now until it is detached or ends.')
    .summary('see into a running process')
    .argument(...TARGET)
    .option('--for <duration>', 'detach by itself after that long: 90s, 10m, 1h30m', parseDuration)
    .option('--capture <parts>', 'what to look at: fs,net,dns,http,console (default: all but console)', collect)
    .option('--header <names>', 'HTTP headers whose values events carry (default: none)', collect)
    .option('--redact <names>', 'of those, headers whose values are hidden', collect)
    .option('--timing', 'how long calls took, too (a second hook per call)')
    .option('--rate-limit <events>', 'events per second at most; what is over is counted', parseCount(1))
    .option('--history <dir>', 'keep the session’s history there (default: ~/.scope/history)')
    .option('--no-history', 'keep none')
    .option('--children', 'scope the processes that it starts, too, from their first call on')
    .addOption(new Option('--payload-bytes <count>').argParser(parseCount(0)).hideHelp())
    .option(...OUTPUT)
    .addHelpText(
      'after',
      examples([
        ['sudo scope attach 812', ''],
        ['sudo scope attach nginx --for 10m', ''],
        ['sudo scope attach api --capture net,http --header x-request-id', ''],
      ]),
    )
    .action((target: string, flags: Omit<AttachFlags, 'history'> & {history: string | boolean}) => {
      const {history, ...rest} = flags;
      return attach(context, target, {...rest, ...(history !== true && {history})});
    });
  program
    .command('detach')
    .description('Let go of a process: it goes on untouched, with its own code, byte for byte.')
    .summary('let go of a process')
    .argument('[pid|name|session]', 'which one')
    .option('--all', 'all that are scoped')
    .option(...OUTPUT)
    .action((target: string | undefined, flags: DetachFlags) => detach(context, target, flags));
  program
    .command('check')
    .description('Would an attach work? Of this host, or of one process. Changes nothing.')
    .summary('would an attach work? Changes nothing')
    .argument('[pid|name]', 'a process (default: this host)')
    .option(...OUTPUT)
    .action((target: string | undefined, flags: InspectFlags) => check(context, target, flags));
}

function addLooking(program: Command, context: CommandContext): void {
  program
    .command('ps')
    .description('Processes: those that are scoped, those that could be, and those that can not with the reason.')
    .summary('processes: scoped, or why they can not be')
    .option('--scoped', 'only those that are scoped')
    .option('-a, --all', 'kernel threads too')
    .option('-o, --output <format>', 'text, wide or json (default: text)', parseOutput('text', 'wide', 'json'))
    .action((flags: PsFlags) => ps(context, flags));
  program
    .command('events')
    .description('What scoped processes do: the last events, or with -f those that come.')
    .summary('what scoped processes do')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('-n, --last <count>', 'begin with so many past ones (default: 20; with -f 0)', parseCount(0))
    .option('-e, --event <globs>', 'only events of these names: http.*,dns.query', collect)
    .option('-s, --session <ids>', 'only of these sessions, past ones too', collect)
    .option('--pid <pids>', 'only of these PIDs', collect)
    .option('-p, --process <globs>', 'only of these PIDs or names', collect)
    .option('-m, --match <key=glob>', 'only where an attribute matches: url.path=/api/*', collect)
    .option(
      '-o, --output <format>',
      'text, or json for NDJSON (default: text on a screen, else json)',
      parseOutput('text', 'json'),
    )
    .addHelpText(
      'after',
      examples([
        ['sudo scope events -f --pid 812 -e http.exchange,net.error', ''],
        ['sudo scope events -f -m "http.response.status_code=5*"', ''],
        ['sudo scope events -n 1000 -o json | jq .attributes', ''],
      ]),
    )
    .action((flags: EventsFlags) => events(context, flags));
  program
    .command('flows')
    .description('Connections of scoped processes: open ones, and those closed lately.')
    .summary('connections, open and closed lately')
    .option('--open', 'only open ones')
    .option(...OUTPUT)
    .action((flags: LookFlags & {open?: boolean}) => flows(context, flags));
  program
    .command('top')
    .description('Scoped processes by how much they do, anew each second, until Ctrl-C.')
    .summary('scoped processes and their pace')
    .action(() => top(context));
  program
    .command('metrics')
    .description('The agent’s numbers, as Prometheus reads them.')
    .summary('numbers, as Prometheus reads them')
    .argument('[glob]', 'only metrics of that name: scope_*')
    .action((glob: string | undefined) => metrics(context, glob));
  program
    .command('inspect')
    .description('What is hooked in a process: each system call, and why not where it is not.')
    .summary('what is hooked in a process, and why not')
    .argument(...TARGET)
    .option(...OUTPUT)
    .action((target: string, flags: InspectFlags) => inspect(context, target, flags));
}

function addHistory(program: Command, context: CommandContext): void {
  const history = program
    .command('history')
    .description('Past sessions, oldest first; one of them in full with `show`.')
    .summary('past sessions')
    .option(...OUTPUT)
    .allowExcessArguments()
    .action((flags: HistoryFlags, command: Command) => {
      const [verb] = command.args;
      if (verb !== undefined) {
        throw new ScopeError('InvalidArgument', `There is no history ${verb}.${didYouMean(verb, ['list', 'show'])}`, {
          advice: 'See `scope history --help`.',
        });
      }
      historyList(context, flags);
    });
  history
    .command('list', {hidden: true})
    .allowExcessArguments(false)
    .option(...OUTPUT)
    .action((flags: HistoryFlags, command: Command) => {
      historyList(context, {...command.parent?.opts(), ...flags});
    });
  history
    .command('show')
    .allowExcessArguments(false)
    .description('What one session was, and what came of it.')
    .summary('one of them in full')
    .argument('<session|latest>', 'its id, or the word latest')
    .option(...OUTPUT)
    .action((session: string, flags: HistoryFlags, command: Command) => {
      historyShow(context, session, {...command.parent?.opts(), ...flags});
    });
}
