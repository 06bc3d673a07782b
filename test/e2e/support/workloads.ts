import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Pod} from '@scope/kube';
import {repositoryRoot} from '../../cluster/layout';
import {apply, get, kubectl, list} from './kubectl';

/** Service addresses: the cluster has no name server. */
export const addresses = {web: '10.96.100.1', python: '10.96.100.2', goShop: '10.96.100.3', goBank: '10.96.100.4'};

/** Starts the programs and waits until all of them answer. */
export async function startWorkloads(): Promise<void> {
  const manifest = readFileSync(join(repositoryRoot, 'test/e2e/manifests/workloads.yaml'), 'utf8');
  await apply(manifest);
  for (const namespace of ['shop', 'bank', 'other']) {
    await kubectl('wait', '-n', namespace, 'pod', '--all', '--for=condition=Ready', '--timeout=60s');
  }
}

/** Sends requests one after the other from the client's pod; every one must be answered. Returns the answers. */
export async function request(address: string, path: string, count: number): Promise<readonly string[]> {
  const url = `http://${address}${path}`;
  const output = await kubectl('exec', '-n', 'shop', 'client', '--', 'python3', '/srv/client.py', url, String(count));
  const answers = output.trimEnd().split('\n');
  if (answers.length !== count) throw new Error(`${answers.length} of ${count} requests to ${address} were answered`);
  return answers;
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
