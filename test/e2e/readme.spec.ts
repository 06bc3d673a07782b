// What README.md and charts/scope/README.md tell people to type, read out of them and typed: nothing is there but a cluster,
// a registry that its node pulls from, and a pod to look into.
import {existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, symlinkSync} from 'node:fs';
import {connect} from 'node:net';
import {join} from 'node:path';
import type {ScopeEvent} from '@scope/api';
import {ensureBinary} from '../cluster/binaries';
import {inCluster} from '../cluster/cluster';
import {kubeconfigFile, repositoryRoot} from '../cluster/layout';
import {run, until} from '../cluster/shell';
import {codeBlocks} from '../support/code-blocks';
import {installChart, layout, RELEASE, SYSTEM_NAMESPACE, uninstallChart, untilNoChartPods} from './support/environment';
import {apply, Followed, kubectl} from './support/kubectl';
import {REGISTRY, registryHas, startRegistry, stopRegistry} from './support/registry';
import {whenCluster} from './support/when-cluster';
import {requestFromNode, restarts, startWorkloads} from './support/workloads';

/** Where the chart's own values put the agent's folder: on this very machine, which is the node. */
const RUN_DIR = '/run/scope';
const REQUESTS = 20;
const READY_WITHIN_MS = 2_000;

const readme = (path: string): string => readFileSync(join(repositoryRoot, path), 'utf8');
/** The lines of the block of commands that begins with this. */
function commands(path: string, begin: string): readonly string[] {
  const block = codeBlocks(readme(path), 'sh').find(text => text.startsWith(begin));
  if (block === undefined) throw new Error(`${path} has no block of commands that begins with ${begin}`);
  return block.trimEnd().split('\n');
}

/** A shell on the node, in the checkout, with npm, helm and kubectl, as one who is about to install it has. */
const environment = (): Readonly<Record<string, string>> => ({
  PATH: `${join(layout.dir, 'bin')}:${process.env.PATH ?? ''}`,
  KUBECONFIG: kubeconfigFile(layout, 'admin'),
});
const shell = (command: string): [string, string[]] => inCluster(layout, ['bash', '-c', command]);
const type = (command: string): Promise<string> =>
  run(...shell(command.replaceAll('REGISTRY', REGISTRY)), {
    cwd: repositoryRoot,
    env: environment(),
    timeoutMs: 180_000,
  });

whenCluster('the README', () => {
  let before: readonly string[];
  let address: string;

  beforeAll(async () => {
    if (await answers(join(RUN_DIR, 'agent.sock'))) {
      throw new Error(
        `an agent of this machine itself answers in ${RUN_DIR}, which the chart's agent would share: end it`,
      );
    }
    before = existsSync(RUN_DIR) ? readdirSync(RUN_DIR) : [];
    await uninstallChart();
    await kubectl('delete', 'crd', '-l', `app.kubernetes.io/instance=${RELEASE}`, '--timeout=60s');
    await startWorkloads();
    await apply(checkout);
    await kubectl('wait', '-n', 'shop', 'pod/checkout', '--for=condition=Ready', '--timeout=60s');
    address = `${await kubectl('get', 'pod', 'checkout', '-n', 'shop', '-o', 'jsonpath={.status.podIP}')}:8080`;
    await startRegistry();
    mkdirSync(join(layout.dir, 'bin'), {recursive: true});
    const helm = join(layout.dir, 'bin/helm');
    if (!existsSync(helm)) symlinkSync(await ensureBinary('helm'), helm);
  });

  // For whichever spec comes next.
  afterAll(async () => {
    await kubectl('delete', 'pod', 'checkout', '-n', 'shop', '--timeout=60s', '--ignore-not-found');
    await installChart();
    await stopRegistry();
    if (before.length === 0 && existsSync(RUN_DIR)) rmdirSync(RUN_DIR);
  });

  it('builds the image and installs with two lines, and is usable when the second has ended', async () => {
    const [image, install, ...more] = commands('README.md', 'npm run image');
    expect([image, install, more]).toEqual([expect.any(String), expect.stringMatching(/^helm install /), []]);
    await type(image ?? '');
    expect(await registryHas('scope/tags/list')).toMatch(/"tags":\["\d+\.\d+\.\d+"\]/);
    const started = Date.now();
    await type(install ?? '');
    process.stderr.write(`e2e, measured: helm install of the README: ${Date.now() - started} ms\n`);
    // Pulled from there, and not from what the other specs have put on the node.
    const images = await kubectl(
      'get',
      'pods',
      '-n',
      SYSTEM_NAMESPACE,
      '-o',
      'jsonpath={.items[*].spec.containers[*].image}',
    );
    expect(images.split(' ')).toEqual(
      [0, 1].map(() => expect.stringMatching(new RegExp(`^${REGISTRY}/scope:`)) as string),
    );
  });

  it('looks into a pod with its ScopeAttach, and tells where the events are', async () => {
    const [manifest = ''] = codeBlocks(readme('README.md'), 'yaml');
    const [progress = '', events = '', ...more] = commands('README.md', 'kubectl get scope');
    expect(more).toEqual([]);
    await apply(manifest);
    const applied = Date.now();
    await kubectl('wait', '-n', 'shop', 'scopeattach/checkout', '--for=condition=Ready', '--timeout=30s');
    expect(Date.now() - applied).toBeLessThanOrEqual(READY_WITHIN_MS);
    expect(await type(progress)).toMatch(/^checkout +1 +1 +0 +Scoped /m);

    const seen: ScopeEvent[] = [];
    const followed = new Followed(
      ...shell(events),
      line => {
        const {event, attributes, ...rest} = JSON.parse(line) as ScopeEvent;
        if (event === 'http.exchange' && attributes['url.path'] === '/readme') seen.push({event, attributes, ...rest});
      },
      environment(),
    );
    await requestFromNode(address, '/readme', REQUESTS);
    await until('the events', 30_000, () => Promise.resolve(seen.length >= REQUESTS || undefined));
    await followed.stop();
    expect(seen).toHaveLength(REQUESTS);
    for (const {process} of seen)
      expect(process).toMatchObject({namespace: 'shop', pod: 'checkout', container: 'server'});
  });

  it('upgrades and uninstalls with the lines of the chart’s README, and leaves what it says', async () => {
    for (const line of commands('charts/scope/README.md', 'helm upgrade')) await type(line);
    await kubectl('rollout', 'status', '-n', SYSTEM_NAMESPACE, 'daemonset', '--timeout=60s');
    await kubectl('wait', '-n', 'shop', 'scopeattach/checkout', '--for=condition=Ready', '--timeout=30s');
    for (const line of commands('charts/scope/README.md', 'kubectl delete scopeattaches')) await type(line);
    await untilNoChartPods();
    expect(readdirSync(RUN_DIR).filter(name => !before.includes(name))).toEqual([]);
    for (const line of commands('charts/scope/README.md', 'kubectl delete crd')) await type(line);
    expect(await kubectl('get', 'crd', '-o', 'name')).toBe('');
    expect(await restarts('shop', 'app=checkout')).toEqual([0]);
  });
});

/** What the README's ScopeAttach is after. */
const checkout = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {name: 'checkout', namespace: 'shop', labels: {app: 'checkout'}},
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'server',
        image: 'localhost/e2e/servers:1',
        imagePullPolicy: 'Never',
        command: ['python3', '/srv/server.py'],
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1},
      },
    ],
  },
};

/** Whether anyone listens on a UNIX socket. */
function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
