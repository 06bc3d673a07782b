// What the chart leaves behind when it goes: on the node, in the cluster, in what was scoped. Installed again at the end.
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import type {Pod} from '@scope/kube';
import {mountsBelow} from '../cluster/containers';
import {processIds} from '../cluster/processes';
import {until} from '../cluster/shell';
import {isPatched, textDifferences} from '../support/intact';
import {applyUntilReady, deleteUntilGone, scopeAttach} from './support/attaches';
import {installChart, layout, runDir, SYSTEM_NAMESPACE, uninstallChart} from './support/environment';
import {untilCollected} from './support/event-log';
import {kubectl, list} from './support/kubectl';
import {whenCluster} from './support/when-cluster';
import {addresses, processesOf, request, restarts, startWorkloads} from './support/workloads';

const target = {podName: 'python'};

whenCluster('helm', () => {
  beforeAll(startWorkloads);
  // Whatever became of one, the next begins with the chart in place and nothing scoped.
  afterEach(async () => {
    await installChart();
    await kubectl('delete', 'scopeattaches', '-A', '--all', '--timeout=90s');
  });

  it('upgrades under what is scoped: it stays scoped, and nothing is lost', async () => {
    await applyUntilReady(scopeAttach('upgraded', {target}));
    const agents = await agentNames();
    await installChart('logLevel=debug');
    expect(await agentNames()).not.toEqual(agents);
    await request(addresses.python, '/upgraded', 20);
    expect(await untilCollected('/upgraded', 20)).toHaveLength(20);
    expect(await restarts('shop', 'app=python')).toEqual([0]);
    await deleteUntilGone('scopeattach', 'upgraded', 'shop');
  });

  it('uninstalls under what is scoped: it is let go of, and scoped again by the next installation', async () => {
    await applyUntilReady(scopeAttach('kept', {target}));
    const pids = await processesOf('python');
    expect(pids.filter(isPatched)).toEqual(pids);
    await uninstallChart();
    expect(pids.flatMap(textDifferences)).toEqual([]);
    expect(await leftOnNode()).toEqual([]);
    // The definitions are kept, and the wish with them.
    expect((await inCluster()).map(line => line.split('/')[0])).toEqual(
      expect.arrayContaining(['CustomResourceDefinition', 'ScopeAttach']),
    );
    await installChart();
    await kubectl('wait', '-n', 'shop', 'scopeattach/kept', '--for=condition=Ready', '--timeout=60s');
    await until('it to be scoped again', 30_000, () => Promise.resolve(pids.every(isPatched) || undefined));
    await request(addresses.python, '/kept', 20);
    expect(await untilCollected('/kept', 20)).toHaveLength(20);
    await deleteUntilGone('scopeattach', 'kept', 'shop');
    expect(await restarts('shop', 'app=python')).toEqual([0]);
  });

  it('uninstalls without a trace: no object of any kind, no file, mount or process', async () => {
    await installChart('crds.keep=false');
    expect(await inCluster()).toContain('CustomResourceDefinition//scopeattaches.scopeattach.dev');
    expect(onNode()).not.toEqual([]);
    await applyUntilReady(scopeAttach('last', {target}));
    await deleteUntilGone('scopeattach', 'last', 'shop');
    await uninstallChart();
    expect(await leftInCluster()).toEqual([]);
    expect(await leftOnNode()).toEqual([]);
  });
});

const agentNames = async (): Promise<readonly string[]> =>
  (await list<Pod>('pods', SYSTEM_NAMESPACE, '-l', 'app.kubernetes.io/component=agent')).map(
    ({metadata}) => metadata.name,
  );

/** Kubernetes' own, in any namespace that there is; and Events, which are history and end by themselves. */
const OF_EVERY_NAMESPACE = [
  `Namespace//${SYSTEM_NAMESPACE}`,
  `ConfigMap/${SYSTEM_NAMESPACE}/kube-root-ca.crt`,
  `ServiceAccount/${SYSTEM_NAMESPACE}/default`,
];

/** Every object of every kind that the API server serves and that bears our name or lives in our namespace: KIND/NAMESPACE/NAME. */
async function inCluster(): Promise<readonly string[]> {
  const kinds = (await kubectl('api-resources', '--verbs=list', '-o', 'name'))
    .trimEnd()
    .split('\n')
    .filter(kind => !/^events(\.|$)/.test(kind));
  expect(kinds.length).toBeGreaterThan(40);
  const line = '{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{"\\n"}{end}';
  const all = await kubectl('get', kinds.join(','), '-A', '-o', `jsonpath=${line}`);
  return all.split('\n').filter(found => /scope/i.test(found) && !OF_EVERY_NAMESPACE.includes(found));
}

/** The same once the API server has followed: the group that a definition brought goes a moment after it. */
async function leftInCluster(): Promise<readonly string[]> {
  await until('nothing in the cluster', 30_000, async () => (await inCluster()).length === 0 || undefined).catch(
    () => undefined,
  );
  return inCluster();
}

/** Our files, mounts and processes on the node. */
const onNode = (): readonly string[] => [
  ...(existsSync(runDir()) ? readdirSync(runDir(), {recursive: true}).map(name => `file ${String(name)}`) : []),
  ...mountsBelow(layout).filter(path => path.includes('scope-agent') || path.startsWith(runDir())),
  ...processIds().flatMap(pid => (commandOf(pid).includes('/opt/scope/') ? [`process ${pid} ${commandOf(pid)}`] : [])),
  ...processIds().flatMap(pid => (mapsOf(pid).includes('memfd:scope') ? [`process ${pid} has our memory`] : [])),
];

/** The same once the kubelet has cleared the pods away, which takes it a moment. */
async function leftOnNode(): Promise<readonly string[]> {
  await until('nothing on the node', 30_000, () => Promise.resolve(onNode().length === 0 || undefined)).catch(
    () => undefined,
  );
  return onNode();
}

const commandOf = (pid: number): string => textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
const mapsOf = (pid: number): string => textOf(`/proc/${pid}/maps`);

/** Empty when the process is gone. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
