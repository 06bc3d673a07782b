import type {Command} from 'commander';
import type {ClusterAttachFlags, ClusterContext, ClusterEventsFlags} from './cluster/cluster-commands';
import {clusterAttach, clusterDetach, clusterEvents, clusterGet} from './cluster/cluster-commands';
import {collect, parseCount, parseDuration, parseOutput} from './options';

/** kubectl's own flags, with kubectl's meaning. */
function kubectlFlags(command: Command): Command {
  return command
    .option('-n, --namespace <name>', 'as kubectl’s')
    .option('--context <name>', 'as kubectl’s')
    .option('--kubeconfig <path>', 'as kubectl’s');
}

/** The verbs of `kubectl scope`. */
export function addClusterVerbs(program: Command, context: ClusterContext): void {
  kubectlFlags(program.command('attach'))
    .description('see into running pods')
    .argument('[pod/name|deploy/name]', 'a pod or a workload; or use -l')
    .option('-l, --selector <labels>', 'pods with these labels: app=checkout')
    .option('-A, --all-namespaces', 'in every namespace (with -l)')
    .option('-c, --container <names>', 'only these containers', collect)
    .option('--children', 'also what these processes start, from their first call on')
    .option('--for <duration>', 'detach by itself after that long: 90s, 10m, 1h30m', parseDuration)
    .option('--capture <parts>', 'what to look at: fs,net,dns,http,console (default: all but console)', collect)
    .option('--header <names>', 'HTTP headers that events carry', collect)
    .option('--redact <names>', 'HTTP headers whose values are hidden', collect)
    .option('--timing', 'how long calls took, too (a second hook per call)')
    .option('--rate-limit <events>', 'events per second and process; what is over is counted', parseCount(1))
    .option('--timeout <duration>', 'how long to wait until it is ready (0: not)', text =>
      text === '0' ? 0 : parseDuration(text),
    )
    .option('-o, --output <format>', 'text or json (default: text)', parseOutput('text', 'json'))
    .action((reference: string | undefined, flags: ClusterAttachFlags) => clusterAttach(context, reference, flags));
  kubectlFlags(program.command('detach'))
    .description('let go: the pods go on untouched')
    .argument('[name]', 'of the ScopeAttach')
    .option('--all', 'every ScopeAttach of the namespace')
    .option('-A, --all-namespaces', 'a ClusterScopeAttach')
    .action((name: string | undefined, flags: {all?: boolean; allNamespaces?: boolean}) =>
      clusterDetach(context, name, flags),
    );
  kubectlFlags(program.command('get'))
    .alias('ps')
    .description('what is scoped')
    .argument('[name]')
    .option('-A, --all-namespaces', 'in every namespace')
    .option('--targets', 'pod by pod')
    .option('-o, --output <format>', 'as kubectl’s')
    .action((name: string | undefined, flags: {allNamespaces?: boolean; output?: string}) =>
      clusterGet(context, name, flags),
    );
  kubectlFlags(program.command('events'))
    .description('what scoped pods do')
    .option('-f, --follow', 'go on with what comes')
    .option('--last <count>', 'begin with so many lines of each agent', parseCount(0))
    .option('-e, --event <globs>', 'only events of these names: http.*', collect)
    .option('-p, --pod <globs>', 'only of these pods', collect)
    .option('-A, --all-namespaces', 'of every namespace')
    .option('--agent-namespace <name>', 'where the agents run (default: found)')
    .option('-o, --output <format>', 'text or json (default: text on a screen, else json)', parseOutput('text', 'json'))
    .action((flags: ClusterEventsFlags) => clusterEvents(context, flags));
}
