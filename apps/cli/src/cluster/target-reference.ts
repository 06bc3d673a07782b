import {ScopeError} from '@scope/core';

/** What `kubectl scope attach` was pointed at, as the `target` of a ScopeAttach or ClusterScopeAttach. */
export interface ClusterTarget {
  readonly kind: 'ScopeAttach' | 'ClusterScopeAttach';
  readonly target: Readonly<Record<string, unknown>>;
  /** Beginning of the object's name. */
  readonly prefix: string;
}

const WORKLOADS: Readonly<Record<string, string>> = {
  deploy: 'Deployment',
  deployment: 'Deployment',
  sts: 'StatefulSet',
  statefulset: 'StatefulSet',
  ds: 'DaemonSet',
  daemonset: 'DaemonSet',
  rs: 'ReplicaSet',
  replicaset: 'ReplicaSet',
  job: 'Job',
  cj: 'CronJob',
  cronjob: 'CronJob',
};

export interface ReferenceFlags {
  readonly selector?: string;
  readonly allNamespaces?: boolean;
  readonly container?: readonly string[];
  readonly children?: boolean;
}

/** "pod/x", "deploy/y", "x" (a pod), or -l app=z, with -A for every namespace. Throws InvalidArgument. */
export function parseReference(reference: string | undefined, flags: ReferenceFlags): ClusterTarget {
  const narrowed = {
    ...(flags.container !== undefined && {containers: flags.container}),
    ...(flags.children === true && {processes: {children: true}}),
  };
  if ((reference === undefined) === (flags.selector === undefined)) {
    throw new ScopeError('InvalidArgument', 'Give either pod/NAME, deploy/NAME… or -l SELECTOR.');
  }
  if (flags.selector !== undefined) {
    const selector = parseSelector(flags.selector);
    const prefix = Object.values(selector.matchLabels)[0] ?? 'selected';
    return flags.allNamespaces === true
      ? {kind: 'ClusterScopeAttach', target: {namespaceSelector: {}, selector, ...narrowed}, prefix}
      : {kind: 'ScopeAttach', target: {selector, ...narrowed}, prefix};
  }
  if (flags.allNamespaces === true) throw new ScopeError('InvalidArgument', '-A goes with -l, not with one name.');
  const [kind = '', name] = (reference ?? '').includes('/') ? (reference ?? '').split('/') : ['pod', reference];
  const type = kind.toLowerCase().replace(/s$/, '') || kind;
  if (name === undefined || name === '') throw new ScopeError('InvalidArgument', `${reference ?? ''} names nothing.`);
  if (type === 'pod' || type === 'po') return {kind: 'ScopeAttach', target: {podName: name, ...narrowed}, prefix: name};
  const workload = WORKLOADS[kind.toLowerCase()] ?? WORKLOADS[type];
  if (workload === undefined) {
    throw new ScopeError('InvalidArgument', `A ${kind} has no processes to scope.`, {
      advice: `Use pod/NAME, or one of ${[...new Set(Object.values(WORKLOADS))].join(', ')}.`,
    });
  }
  return {kind: 'ScopeAttach', target: {workloadRef: {kind: workload, name}, ...narrowed}, prefix: name};
}

/** Equality selectors: "a=b,c=d". */
function parseSelector(text: string): {matchLabels: Record<string, string>} {
  const pairs = text.split(',').map((pair): [string, string] => {
    const [, key, value] = /^([^=!]+)==?([^=]*)$/.exec(pair.trim()) ?? [];
    if (key === undefined || value === undefined) {
      throw new ScopeError('InvalidArgument', `No selector: ${pair}`, {
        advice: 'Write it as -l KEY=VALUE[,KEY=VALUE].',
      });
    }
    return [key, value];
  });
  return {matchLabels: Object.fromEntries(pairs)};
}

/** A valid object name: lower case, at most 63 characters, unique by its ending. */
export function objectName(prefix: string, unique: string): string {
  const safe = prefix
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 62 - unique.length)
    .replace(/-+$/, '');
  return `${safe === '' ? 'scope' : safe}-${unique}`;
}
