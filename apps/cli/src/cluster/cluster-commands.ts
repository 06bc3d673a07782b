import {randomBytes} from 'node:crypto';
import {setTimeout as delay} from 'node:timers/promises';
import type {ScopeEvent} from '@scope/api';
import {ScopeError, globMatcher} from '@scope/core';
import pc from 'picocolors';
import type {CaptureFlags, OutputFormat} from '../options';
import {parseCapture} from '../options';
import {eventText} from '../output/event-text';
import type {Terminal} from '../output/terminal';
import {Kubectl} from './kubectl';
import type {KubectlFlags} from './kubectl';
import type {ReferenceFlags} from './target-reference';
import {objectName, parseReference} from './target-reference';

export interface ClusterContext {
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

export interface ClusterAttachFlags extends KubectlFlags, ReferenceFlags, CaptureFlags {
  readonly for?: number;
  readonly rateLimit?: number;
  readonly output?: OutputFormat;
  /** Seconds to wait for it to become ready; 0: do not wait. */
  readonly timeout?: number;
}

const API_VERSION = 'scopeattach.dev/v1alpha1';
const AGENTS = 'app.kubernetes.io/name=scope,app.kubernetes.io/component=agent';

interface Summary {
  readonly pods?: {readonly matched?: number; readonly scoped?: number; readonly failed?: number};
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
    readonly message?: string;
  }[];
}

/** `kubectl scope attach pod/x|deploy/y|-l a=b [-A]`: makes a ScopeAttach and waits until it is ready. */
export async function clusterAttach(
  context: ClusterContext,
  reference: string | undefined,
  flags: ClusterAttachFlags,
): Promise<void> {
  const {kind, target, prefix} = parseReference(reference, flags);
  const name = objectName(prefix, randomBytes(3).toString('hex'));
  const kubectl = new Kubectl(flags);
  const object = {
    apiVersion: API_VERSION,
    kind,
    metadata: {name},
    spec: {
      target,
      capture: parseCapture(flags),
      ...(flags.for !== undefined && {activeDeadlineSeconds: flags.for}),
      ...(flags.rateLimit !== undefined && {rateLimit: {eventsPerSecond: flags.rateLimit}}),
    },
  };
  const created = await kubectl.run(['create', '-f', '-', '-o', 'json'], JSON.stringify(object));
  const {metadata} = JSON.parse(created) as {metadata: {name: string; namespace?: string}};
  const resource = `${kind.toLowerCase()}.scopeattach.dev/${metadata.name}`;
  const where = metadata.namespace === undefined ? ' -A' : ` -n ${metadata.namespace}`;
  const json = flags.output === 'json';
  (json ? context.terminal.err : context.terminal.out)(
    `Created ${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`,
  );
  const end = `kubectl scope detach ${metadata.name}${where}`;
  const status = await ready(kubectl, {resource, where, end}, (flags.timeout ?? 30) * 1000, context.signal);
  if (json) context.terminal.out(JSON.stringify({...object, metadata, status}));
  else
    context.terminal.out(
      `Scoped ${status.pods?.scoped ?? 0} of ${status.pods?.matched ?? 0} pods.\nSee: kubectl scope events -f${where}   End: ${end}`,
    );
}

interface Created {
  readonly resource: string;
  /** kubectl's flags for where it is. */
  readonly where: string;
  /** The command that ends it. */
  readonly end: string;
}

/** The status once Ready is True; rejects with Timeout and what the conditions say. */
async function ready(
  kubectl: Kubectl,
  {resource, where, end}: Created,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Summary> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const {status = {}} = JSON.parse(await kubectl.run(['get', resource, '-o', 'json'])) as {status?: Summary};
    const condition = status.conditions?.find(({type}) => type === 'Ready');
    if (condition?.status === 'True' || timeoutMs === 0) return status;
    if (performance.now() > deadline) {
      const why =
        condition === undefined ? 'no controller has looked at it' : `${condition.reason}: ${condition.message ?? ''}`;
      throw new ScopeError('Timeout', `${resource} is not ready after ${timeoutMs / 1000} s (${why}).`, {
        advice: `It stays: see \`kubectl describe ${resource}${where === ' -A' ? '' : where}\`, or end it with \`${end}\`.`,
      });
    }
    await delay(250, undefined, {signal});
  }
}

/** `kubectl scope detach NAME|--all`: deletes; the controller lets go first. */
export async function clusterDetach(
  {terminal}: ClusterContext,
  name: string | undefined,
  flags: KubectlFlags & {readonly all?: boolean; readonly allNamespaces?: boolean},
): Promise<void> {
  if ((name === undefined) === (flags.all !== true))
    throw new ScopeError('InvalidArgument', 'Give either a NAME or --all.');
  const kind = flags.allNamespaces === true ? 'clusterscopeattaches.scopeattach.dev' : 'scopeattaches.scopeattach.dev';
  const said = await new Kubectl(flags).run([
    'delete',
    kind,
    ...(name === undefined ? ['--all'] : [name]),
    '--wait=true',
  ]);
  terminal.out(said.trimEnd());
}

/** `kubectl scope get [NAME]`: the attaches, as kubectl prints them. */
export async function clusterGet(
  {terminal}: ClusterContext,
  name: string | undefined,
  flags: KubectlFlags & {readonly allNamespaces?: boolean; readonly output?: string; readonly targets?: boolean},
): Promise<void> {
  const kinds =
    flags.targets === true
      ? 'scopetargets'
      : flags.allNamespaces === true
        ? 'scopeattaches,clusterscopeattaches'
        : 'scopeattaches';
  const args = ['get', kinds, ...(name === undefined ? [] : [name])];
  if (flags.allNamespaces === true) args.push('-A');
  if (flags.output !== undefined && flags.output !== 'text') args.push('-o', flags.output);
  terminal.out((await new Kubectl(flags).run(args)).trimEnd());
}

export interface ClusterEventsFlags extends KubectlFlags {
  readonly follow?: boolean;
  readonly last?: number;
  readonly event?: readonly string[];
  readonly pod?: readonly string[];
  readonly allNamespaces?: boolean;
  readonly agentNamespace?: string;
  readonly output?: OutputFormat;
}

/**
 * `kubectl scope events [-f]`: what the agents write to their stdout, filtered by namespace and pod. Good for a look;
 * a collector (OTLP) is the way for all of it.
 */
export async function clusterEvents({terminal, signal}: ClusterContext, flags: ClusterEventsFlags): Promise<void> {
  const {context, kubeconfig} = flags;
  const kubectl = new Kubectl({...(context && {context}), ...(kubeconfig && {kubeconfig})});
  const namespace = flags.agentNamespace ?? (await agentNamespace(kubectl));
  const wanted = flags.allNamespaces === true ? undefined : (flags.namespace ?? (await currentNamespace(kubectl)));
  const isPod = flags.pod === undefined ? undefined : globMatcher(flags.pod);
  const isEvent = flags.event === undefined ? undefined : globMatcher(flags.event);
  const args = [
    'logs',
    '-n',
    namespace,
    '-l',
    AGENTS,
    '-c',
    'agent',
    '--max-log-requests',
    '100',
    '--tail',
    String(flags.last ?? (flags.follow === true ? 0 : 200)),
  ];
  if (flags.follow === true) args.push('-f');
  const child = kubectl.follow(args, signal);
  const text = (flags.output ?? (terminal.isScreen ? 'text' : 'json')) === 'text';
  child.on('error', () => undefined);
  let rest = '';
  for await (const chunk of child.stdout.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = parseEvent(line);
      if (event === undefined) continue;
      if (wanted !== undefined && event.process.namespace !== wanted) continue;
      if (isPod?.(event.process.pod ?? '') === false || isEvent?.(event.event) === false) continue;
      terminal.out(text ? eventText(event, pc) : line);
    }
  }
}

function parseEvent(line: string): ScopeEvent | undefined {
  if (!line.startsWith('{"time":')) return undefined;
  try {
    const value = JSON.parse(line) as Partial<ScopeEvent>;
    return value.event === undefined || value.process === undefined ? undefined : (value as ScopeEvent);
  } catch {
    return undefined;
  }
}

async function agentNamespace(kubectl: Kubectl): Promise<string> {
  const found = await kubectl.run(['get', 'pods', '-A', '-l', AGENTS, '-o', 'jsonpath={.items[0].metadata.namespace}']);
  if (found !== '') return found;
  throw new ScopeError('AgentUnavailable', 'No agent runs in this cluster.', {
    advice: 'Install the chart: charts/scope.',
  });
}

async function currentNamespace(kubectl: Kubectl): Promise<string> {
  const found = await kubectl.run(['config', 'view', '--minify', '-o', 'jsonpath={..namespace}']);
  return found === '' ? 'default' : found;
}
