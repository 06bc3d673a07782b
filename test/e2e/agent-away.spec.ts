import type {ScopeEvent} from '@scope/api';
import type {Pod} from '@scope/kube';
import {restartApiServer} from '../cluster/cluster';
import {killRecorded} from '../cluster/processes';
import {applyUntilReady, condition, deleteUntilGone, readAttach, scopeAttach, untilAttach} from './support/attaches';
import {layout, RELEASE, SYSTEM_NAMESPACE} from './support/environment';
import {collectedExchanges, EventLog, untilCollected} from './support/event-log';
import {apply, get, kubectl, list, untilObject} from './support/kubectl';
import {whenCluster} from './support/when-cluster';
import {
  addresses,
  podNames,
  processesOf,
  request,
  requestFromNode,
  restarts,
  startWorkloads,
} from './support/workloads';

const target = {podName: 'python'};

whenCluster('agents and controllers that go away', () => {
  beforeAll(startWorkloads);

  it('an agent that is killed: targets answer on, the next agent takes over what it left', async () => {
    await applyUntilReady(scopeAttach('killed', {target}));
    const before = await agentPod();
    for (const pid of await processesOf(before.metadata.name, SYSTEM_NAMESPACE)) process.kill(pid, 'SIGKILL');
    await request(addresses.python, '/killed', 20);
    await untilObject('the agent’s restart', agentPod, pod => restartsOf(pod) > restartsOf(before));
    await kubectl('rollout', 'status', '-n', SYSTEM_NAMESPACE, `daemonset/${RELEASE}-agent`, '--timeout=60s');
    await untilAttach('the next attach', 'killed', one => condition(one, 'Ready')?.status === 'True');

    const log = new EventLog();
    try {
      // Until the new sessions' first word has come: Ready in the status may still be the dead agent's.
      await untilObject(
        'a session of the new agent',
        () => sessionsSince(before),
        count => count > 0,
      );
      await request(addresses.python, '/taken-over', 20);
      expect(await log.untilExchanges('/taken-over', 20)).toHaveLength(20);
      // What was done while nobody read is seen, or said to be missing; never twice.
      const [seen, gaps] = [collectedExchanges('/killed').length, await gapsOf((await agentPod()).metadata.name)];
      const told = gaps.filter(({lost = {}}) => Object.keys(lost).length > 0);
      process.stderr.write(
        `e2e, measured: of 20 requests while no agent ran, ${seen} seen; ${JSON.stringify(told.map(({lost}) => lost))} lost\n`,
      );
      expect(seen).toBeLessThanOrEqual(20);
      expect(seen === 20 || told.length > 0).toBe(true);
    } finally {
      await log.close();
    }
    expect(await restarts('shop', 'app=python')).toEqual([0]);
    await deleteUntilGone('scopeattach', 'killed', 'shop');
  });

  it('an agent’s pod that is deleted under load: the next one goes on with its sessions', async () => {
    await applyUntilReady(scopeAttach('followed', {target}));
    const before = await agentPod();
    const load = request(addresses.python, '/meanwhile', 200);
    await kubectl('delete', 'pod', '-n', SYSTEM_NAMESPACE, before.metadata.name, '--timeout=60s');
    await load;
    const after = await untilObject('the next agent', agentPods, pods =>
      pods.some(({metadata, status}) => metadata.uid !== before.metadata.uid && status?.phase === 'Running'),
    ).then(pods => pods.find(({metadata}) => metadata.uid !== before.metadata.uid));
    await kubectl('rollout', 'status', '-n', SYSTEM_NAMESPACE, `daemonset/${RELEASE}-agent`, '--timeout=60s');
    await request(addresses.python, '/followed', 20);
    const taken = (await linesOf(after?.metadata.name ?? '')).filter(line => line.includes('"taken back"'));
    expect(taken.length).toBeGreaterThan(0);
    for (const line of taken) expect(line).toContain('"state":"Scoped"');
    // Nothing that the one before had read is missing: it was told to end, and gave everything away first.
    const gaps = await gapsOf(after?.metadata.name ?? '');
    expect(gaps).toHaveLength(taken.length);
    for (const {attributes, lost = {}} of gaps) {
      expect(attributes).toMatchObject({'scope.lost.where': 'agent'});
      expect(Object.keys(lost).filter(name => name.startsWith('untold') || name === 'events')).toEqual([]);
    }
    expect(await restarts('shop', 'app=python')).toEqual([0]);
    await untilAttach('it to be ready still', 'followed', one => condition(one, 'Ready')?.status === 'True');
    await deleteUntilGone('scopeattach', 'followed', 'shop');
  });

  it('no agent at all: a deletion waits a minute, not longer, and says why', async () => {
    await applyUntilReady(scopeAttach('alone', {target}));
    await placeAgents({'scope.test/nowhere': 'true'});
    await untilObject('the agents’ end', agentPods, pods => pods.length === 0, 60_000);
    const ms = await deleteUntilGone('scopeattach', 'alone', 'shop');
    await placeAgents({'scope.test/nowhere': null});
    process.stderr.write(`e2e, measured: deletion without an agent: ${ms} ms\n`);
    expect(ms).toBeGreaterThan(50_000);
    expect(ms).toBeLessThan(70_000);
    const events = await list<{reason: string; note?: string}>('events.events.k8s.io', 'shop');
    expect(events.map(({reason}) => reason)).toContain('AgentUnavailable');
    await kubectl('rollout', 'status', '-n', SYSTEM_NAMESPACE, `daemonset/${RELEASE}-agent`, '--timeout=60s');
    await request(addresses.python, '/alone', 5);
    expect(await restarts('shop', 'app=python')).toEqual([0]);
  });

  it('a controller that ends: the other one leads at once', async () => {
    const leader = await leaderName();
    await kubectl('delete', 'pod', '-n', SYSTEM_NAMESPACE, leader, '--wait=false');
    await apply(scopeAttach('led', {target}));
    const attach = await untilAttach(
      'the other leader’s work',
      'led',
      one => condition(one, 'Ready')?.status === 'True',
    );
    expect(attach.status?.pods?.scoped).toBe(1);
    expect(await leaderName()).not.toBe(leader);
    await deleteUntilGone('scopeattach', 'led', 'shop');
    expect(await readAttach('led')).toBeUndefined();
  });

  it('every controller killed: events go on, and what was asked meanwhile comes about', async () => {
    await applyUntilReady(scopeAttach('unled', {target}));
    const selector = `app.kubernetes.io/component=controller,app.kubernetes.io/instance=${RELEASE}`;
    const controllers = await podNames(SYSTEM_NAMESPACE, selector);
    expect(controllers).toHaveLength(2);
    for (const name of controllers) {
      for (const pid of await processesOf(name, SYSTEM_NAMESPACE)) process.kill(pid, 'SIGKILL');
    }
    const started = Date.now();
    await apply(scopeAttach('meanwhile', {target: {selector: {matchLabels: {app: 'web'}}}}));
    await request(addresses.python, '/unled', 20);
    expect(await untilCollected('/unled', 20)).toHaveLength(20);
    await untilAttach('the next leader’s work', 'meanwhile', one => one.status?.pods?.scoped === 2, 120_000);
    process.stderr.write(`e2e, measured: every controller killed to Scoped: ${Date.now() - started} ms\n`);
    await deleteUntilGone('scopeattach', 'unled', 'shop');
    await deleteUntilGone('scopeattach', 'meanwhile', 'shop');
    expect(await restarts('shop', 'app in (python,web)')).toEqual([0, 0, 0]);
  });

  it('the API server killed: events go on meanwhile, none is lost, and all follow the next one', async () => {
    await applyUntilReady(scopeAttach('before', {target}));
    killRecorded(layout, name => name === 'apiserver');
    expect(await requestFromNode(addresses.python, '/no-api-server', 20)).toHaveLength(20);
    expect(await untilCollected('/no-api-server', 20)).toHaveLength(20);
    await restartApiServer(layout);
    const started = Date.now();
    await apply(scopeAttach('after', {target: {selector: {matchLabels: {app: 'web'}}}}));
    await untilAttach('the watches', 'after', one => one.status?.pods?.scoped === 2, 120_000);
    process.stderr.write(`e2e, measured: API server back to Scoped: ${Date.now() - started} ms\n`);
    expect((await readAttach('before'))?.status?.pods?.scoped).toBe(1);
    await request(addresses.python, '/api-server-again', 20);
    expect(await untilCollected('/api-server-again', 20)).toHaveLength(20);
    await deleteUntilGone('scopeattach', 'before', 'shop');
    await deleteUntilGone('scopeattach', 'after', 'shop');
    expect(await restarts('shop', 'app in (python,web)')).toEqual([0, 0, 0]);
  });
});

const agentSelector = `app.kubernetes.io/component=agent,app.kubernetes.io/instance=${RELEASE}`;
const agentPods = (): Promise<readonly Pod[]> => list<Pod>('pods', SYSTEM_NAMESPACE, '-l', agentSelector);

async function agentPod(): Promise<Pod> {
  const [pod] = await agentPods();
  if (pod === undefined) throw new Error('there is no agent');
  return pod;
}

const restartsOf = (pod: Pod): number => pod.status?.containerStatuses?.[0]?.restartCount ?? 0;

/** What the agent of that pod has printed, since its last start. */
const linesOf = async (pod: string): Promise<readonly string[]> =>
  (await kubectl('logs', '-n', SYSTEM_NAMESPACE, pod)).split('\n');

/** Where it says that something is missing. */
const gapsOf = async (pod: string): Promise<readonly ScopeEvent[]> =>
  (await linesOf(pod))
    .filter(line => line.includes('"event":"scope.lost"'))
    .map(line => JSON.parse(line) as ScopeEvent);

/** How many processes the agent after that one says it has scoped. */
async function sessionsSince(before: Pod): Promise<number> {
  const current = await agentPod();
  if (restartsOf(current) <= restartsOf(before)) return 0;
  return (await linesOf(current.metadata.name)).filter(line => line.includes('"state":"Scoped"')).length;
}

/** Adds to, or with null takes from, the labels that a node must bear to have an agent. */
async function placeAgents(nodeSelector: Readonly<Record<string, string | null>>): Promise<void> {
  const patch = JSON.stringify({spec: {template: {spec: {nodeSelector}}}});
  await kubectl('patch', '-n', SYSTEM_NAMESPACE, `daemonset/${RELEASE}-agent`, '--type=merge', '-p', patch);
}

async function leaderName(): Promise<string> {
  interface Lease {
    readonly spec?: {readonly holderIdentity?: string};
  }
  const lease = await untilObject(
    'a leader',
    () => get<Lease>('lease', `${RELEASE}-controller`, SYSTEM_NAMESPACE),
    ({spec}) => (spec?.holderIdentity ?? '') !== '',
  );
  return lease.spec?.holderIdentity ?? '';
}
