import type {ScopeTarget} from '@scope/api';
import {isPatched, textDifferences} from '../support/intact';
import {layout, SYSTEM_NAMESPACE} from './support/environment';
import {EventLog, untilCollected} from './support/event-log';
import {kubectl, list} from './support/kubectl';
import {
  applyUntilReady,
  clusterScopeAttach,
  deleteUntilGone,
  readAttach,
  readClusterAttach,
  scopeAttach,
} from './support/attaches';
import {whenCluster} from './support/when-cluster';
import {addresses, podNames, processesOf, request, restarts, startWorkloads} from './support/workloads';

/** From the end of `kubectl apply` to Ready. */
const READY_WITHIN_MS = 2_000;
const REQUESTS = 20;

const measured: string[] = [];
function note(what: string, milliseconds: number): void {
  measured.push(`${what}: ${milliseconds} ms`);
}

whenCluster('scoping running pods', () => {
  let log: EventLog;

  beforeAll(async () => {
    await startWorkloads();
    log = new EventLog();
  });

  afterAll(async () => {
    await log.close();
    process.stderr.write(`e2e, measured: ${measured.join('; ')}\n`);
  });

  it('two pods by label: Ready within two seconds, each request through the Service seen once, with its pod', async () => {
    const target = {selector: {matchLabels: {app: 'web'}}};
    const ms = await applyUntilReady(scopeAttach('web', {target}));
    note('two pods by label, apply to Ready', ms);
    expect(ms).toBeLessThanOrEqual(READY_WITHIN_MS);
    const attach = await readAttach('web');
    expect(attach?.status?.pods).toEqual({matched: 2, scoped: 2, pending: 0, failed: 0});
    // A master and two workers in each.
    expect(attach?.status?.processes).toEqual({scoped: 6, failed: 0});

    await request(addresses.web, '/by-label', REQUESTS);
    const exchanges = await log.untilExchanges('/by-label', REQUESTS);
    expect(exchanges).toHaveLength(REQUESTS);
    const pods = await podNames('shop', 'app=web');
    for (const {process, attributes} of exchanges) {
      expect(process).toMatchObject({namespace: 'shop', container: 'nginx', node: layout.nodeName, workload: 'web'});
      expect(pods).toContain(process.pod);
      expect(attributes).toMatchObject({'http.request.method': 'GET', 'http.response.status_code': 200});
    }
  });

  it('the same events are at the collector', async () => {
    const records = await untilCollected('/by-label', REQUESTS);
    expect(records).toHaveLength(REQUESTS);
    const pods = await podNames('shop', 'app=web');
    for (const record of records) {
      expect(record).toMatchObject({
        resource: {
          'k8s.namespace.name': 'shop',
          'k8s.container.name': 'nginx',
          'k8s.node.name': layout.nodeName,
          'k8s.pod.name': expect.stringMatching(new RegExp(`^(${pods.join('|')})$`)) as string,
        },
      });
    }
  });

  it('and among the agent’s metrics, for Prometheus', async () => {
    const [agent] = await podNames(SYSTEM_NAMESPACE, `app.kubernetes.io/component=agent`);
    const proxy = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods/${agent ?? ''}:9480/proxy/metrics`;
    const metrics = await kubectl('get', '--raw', proxy);
    const counts = [...metrics.matchAll(/^http_server_request_duration_seconds_count\{.*\} (\d+)$/gm)];
    const total = counts.reduce((sum, [, value]) => sum + Number(value), 0);
    expect(total).toBeGreaterThanOrEqual(REQUESTS);
    expect(metrics).toMatch(/^scope_build_info\{/m);
  });

  it('one pod by name, as locked up as a pod can be', async () => {
    const ms = await applyUntilReady(scopeAttach('python', {target: {podName: 'python'}}));
    note('one pod by name, apply to Ready', ms);
    expect(ms).toBeLessThanOrEqual(READY_WITHIN_MS);
    await request(addresses.python, '/by-name', REQUESTS);
    const exchanges = await log.untilExchanges('/by-name', REQUESTS);
    expect(exchanges).toHaveLength(REQUESTS);
    for (const {process} of exchanges) expect(process).toMatchObject({pod: 'python', container: 'server'});
  });

  it('two namespaces at once, static programs in images of one file, and not the third namespace', async () => {
    const target = {namespaceSelector: {matchLabels: {team: 'checkout'}}, selector: {matchLabels: {tier: 'go'}}};
    const ms = await applyUntilReady(clusterScopeAttach('go', {target}));
    note('two namespaces, apply to Ready', ms);
    expect(ms).toBeLessThanOrEqual(READY_WITHIN_MS);
    expect((await readClusterAttach('go'))?.status?.pods).toEqual({matched: 2, scoped: 2, pending: 0, failed: 0});
    expect(await list<ScopeTarget>('scopetargets', 'other')).toEqual([]);

    await request(addresses.goShop, '/cluster', REQUESTS);
    await request(addresses.goBank, '/cluster', REQUESTS);
    const exchanges = await log.untilExchanges('/cluster', 2 * REQUESTS);
    const namespaces = exchanges.map(({process}) => process.namespace);
    expect(namespaces.filter(name => name === 'shop')).toHaveLength(REQUESTS);
    expect(namespaces.filter(name => name === 'bank')).toHaveLength(REQUESTS);
  });

  it('deleted: detached, silent, never restarted, answering on', async () => {
    const scoped = (
      await Promise.all([...(await podNames('shop', 'app=web')), 'python'].map(name => processesOf(name)))
    ).flat();
    expect(scoped.filter(isPatched)).toEqual(scoped);
    note('delete to gone, two pods', await deleteUntilGone('scopeattach', 'web', 'shop'));
    note('delete to gone, one pod', await deleteUntilGone('scopeattach', 'python', 'shop'));
    note('delete to gone, two namespaces', await deleteUntilGone('clusterscopeattach', 'go'));
    expect(await list<ScopeTarget>('scopetargets')).toEqual([]);
    expect(scoped.flatMap(textDifferences)).toEqual([]);
    for (const address of Object.values(addresses)) await request(address, '/after', REQUESTS);
    expect(await restarts('shop', 'app in (web,python)')).toEqual([0, 0, 0]);
    expect([...(await restarts('shop', 'tier=go')), ...(await restarts('bank', 'tier=go'))]).toEqual([0, 0]);
    await new Promise(resolve => setTimeout(resolve, 1_000));
    expect(log.exchanges('/after')).toEqual([]);
  });
});
