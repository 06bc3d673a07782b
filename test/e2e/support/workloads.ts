import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {ContainerScanner, parseContainerId, procSource} from '@scope/containers';
import type {Pod} from '@scope/kube';
import {inCluster} from '../../cluster/cluster';
import {repositoryRoot} from '../../cluster/layout';
import {run, until} from '../../cluster/shell';
import {layout} from './environment';
import {apply, get, kubectl, list} from './kubectl';

/** Service addresses: the cluster has no name server. */
export const addresses = {web: '10.96.100.1', python: '10.96.100.2', goShop: '10.96.100.3', goBank: '10.96.100.4'};

/** Starts the programs and waits until all of them answer. */
export async function startWorkloads(): Promise<void> {
  await apply(manifest('workloads.yaml'));
  for (const namespace of ['shop', 'bank', 'other']) {
    await kubectl('wait', '-n', namespace, 'pod', '--all', '--for=condition=Ready', '--timeout=60s');
  }
  await untilAnswered(...Object.values(addresses));
}

/** Waits until each address answers: a Service refuses until kube-proxy has heard of its pods, after they are ready. */
export async function untilAnswered(...of: readonly string[]): Promise<void> {
  for (const address of of) {
    await until(`an answer of ${address}`, 30_000, async () => {
      await requestFromNode(address, '/', 1);
      return true;
    });
  }
}

/** Text of a file under manifests/. */
export const manifest = (name: string): string =>
  readFileSync(join(repositoryRoot, 'test/e2e/manifests', name), 'utf8');

/** Sends requests from the client's pod, `lanes` at a time; every one must be answered. Returns the answers. */
export async function request(address: string, path: string, count: number, lanes = 1): Promise<readonly string[]> {
  const args = [`http://${address}${path}`, String(count), String(lanes)];
  const output = await kubectl('exec', '-n', 'shop', 'client', '--', 'python3', '/srv/client.py', ...args);
  return answersOf(output, address, count);
}

/** The same from the node itself, without a word to the API server. */
export async function requestFromNode(address: string, path: string, count: number): Promise<readonly string[]> {
  const client = join(repositoryRoot, 'test/e2e/images/servers/client.py');
  const command = ['python3', client, `http://${address}${path}`, String(count)];
  return answersOf(await run(...inCluster(layout, command)), address, count);
}

function answersOf(output: string, address: string, count: number): readonly string[] {
  const answers = output.trimEnd().split('\n');
  if (answers.length !== count) throw new Error(`${answers.length} of ${count} requests to ${address} were answered`);
  return answers;
}

/** Ids, on the node, of the processes in the pod's first container; found as the agent finds them. */
export async function processesOf(name: string, namespace = 'shop'): Promise<readonly number[]> {
  const pod = await get<Pod>('pod', name, namespace);
  const id = parseContainerId(pod?.status?.containerStatuses?.[0]?.containerID ?? '')?.id ?? '';
  const pids = new ContainerScanner(procSource()).scan().get(id) ?? [];
  if (pids.length === 0) throw new Error(`pod ${namespace}/${name}: container ${id} has no process`);
  return pids;
}

/** How often each container of the pods has been restarted. */
export async function restarts(namespace: string, selector: string): Promise<readonly number[]> {
  const pods = await list<Pod>('pods', namespace, '-l', selector);
  return pods.flatMap(pod => (pod.status?.containerStatuses ?? []).map(({restartCount}) => restartCount ?? -1));
}

export const podNames = async (namespace: string, selector: string): Promise<readonly string[]> =>
  (await list<Pod>('pods', namespace, '-l', selector)).map(({metadata}) => metadata.name).sort();

export const podExists = async (namespace: string, name: string): Promise<boolean> =>
  (await get('pod', name, namespace)) !== undefined;
