import {existsSync, mkdirSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {ensureBinary} from './binaries';
import {writeCertificates} from './certificates';
import {apiServer, controllerManager, etcd, kubeProxy, kubelet, scheduler} from './components';
import {writeConfiguration} from './configuration';
import {
  containerProcesses,
  killContainerProcesses,
  killShims,
  podTraces,
  removePodCgroups,
  unmountAll,
} from './containers';
import {importImage, pauseArchive} from './images';
import type {Layout} from './layout';
import {containerdSocket, kubeconfigFile} from './layout';
import {createNetwork, deleteNetwork, networkNamespaces} from './network';
import {isAlive, killRecorded, processesOf, recordedProcesses, startProcess, stopProcess} from './processes';
import {requireTools} from './requirements';
import {run, tryRun, until} from './shell';

/** Runs kubectl against the cluster, from inside its network namespace. */
export function kubectl(layout: Layout, args: readonly string[], input?: string): Promise<string> {
  return run(...kubectlCommand(layout, args), {...(input === undefined ? {} : {input})});
}

/** Program and arguments that run kubectl against the cluster. */
export function kubectlCommand(layout: Layout, args: readonly string[]): [string, string[]] {
  return inCluster(layout, ['kubectl', `--kubeconfig=${kubeconfigFile(layout, 'admin')}`, ...args]);
}

/** Program and arguments that run a command in the cluster's network namespace: on the node, as it were. */
export function inCluster(layout: Layout, command: readonly string[]): [string, string[]] {
  return ['nsenter', [`--net=/var/run/netns/${layout.netns}`, ...command]];
}

/** Brings a cluster up from nothing; what an earlier one left behind is cleared away first. Ready when this returns. */
export async function up(layout: Layout): Promise<void> {
  requireTools();
  const kube = await ensureBinary('kube');
  const pause = await pauseArchive();
  await down(layout);
  mkdirSync(layout.dir, {recursive: true, mode: 0o711});
  await createNetwork(layout);
  await writeCertificates(layout);
  writeConfiguration(layout);

  const start = (component: {name: string; args: readonly string[]}): number =>
    startProcess(layout, component.name, kube, component.args);
  start(etcd(layout));
  start(apiServer(layout));
  startProcess(layout, 'containerd', 'containerd', ['-c', join(layout.dir, 'containerd.toml')]);
  await until('containerd’s socket', 20_000, () => Promise.resolve(existsSync(containerdSocket(layout)) || undefined));
  await until('containerd to answer', 20_000, async () => {
    await importImage(layout, pause);
    return true;
  });
  await untilApiServer(layout);
  for (const component of [controllerManager, scheduler, kubelet, kubeProxy]) start(component(layout));
  await until('the node to be ready', 90_000, () => nodeReady(layout));
  // Pods are refused until it exists, a moment after the node is ready.
  await until('the default service account', 30_000, async () => {
    await kubectl(layout, ['get', 'serviceaccount', 'default']);
    return true;
  });
}

async function nodeReady(layout: Layout): Promise<true | undefined> {
  const jsonPath = '{.status.conditions[?(@.type=="Ready")].status}';
  const ready = await kubectl(layout, ['get', 'node', layout.nodeName, '-o', `jsonpath=${jsonPath}`]);
  return ready === 'True' ? true : undefined;
}

/**
 * Ends everything `up` started and removes every trace: harmless when nothing runs, and the same after everything was
 * killed at once. The folder goes last but one: it says what else there is, so that a `down` cut short can be done again.
 */
export async function down(layout: Layout): Promise<void> {
  for (const name of ['proxy', 'kubelet', 'scheduler', 'controllers']) await stopProcess(layout, name);
  for (const record of recordedProcesses(layout)) await stopProcess(layout, record.name);
  await killShims(layout);
  await killContainerProcesses(layout);
  removePodCgroups();
  if (existsSync(layout.dir)) {
    await until('the mounts below the cluster’s folder to go', 10_000, async () => {
      await unmountAll(layout);
      rmSync(layout.dir, {recursive: true, force: true});
      return true;
    });
  }
  await deleteNetwork(layout);
}

/** What of a cluster is there, one line each: none after `down`. */
export async function traces(layout: Layout): Promise<readonly string[]> {
  const namespaces = (await networkNamespaces()).filter(name => name === layout.netns);
  return [
    ...processesOf(layout).map(({pid, command}) => `process ${pid}: ${command}`),
    ...containerProcesses(layout).map(pid => `process ${pid} of a container`),
    ...podTraces(layout),
    ...namespaces.map(name => `network namespace ${name}`),
    ...(existsSync(layout.dir) ? [layout.dir] : []),
  ];
}

/** SIGKILL for the API server, and a new one in its place; it answers when this returns. */
export async function restartApiServer(layout: Layout): Promise<void> {
  const {name, args} = apiServer(layout);
  killRecorded(layout, recorded => recorded === name);
  await stopProcess(layout, name);
  startProcess(layout, name, await ensureBinary('kube'), args);
  await untilApiServer(layout);
}

async function untilApiServer(layout: Layout): Promise<void> {
  await until(
    'the API server',
    90_000,
    async () => (await kubectl(layout, ['get', '--raw', '/readyz'])) === 'ok' || undefined,
  );
}

export interface ClusterStatus {
  readonly processes: readonly {readonly name: string; readonly pid: number; readonly alive: boolean}[];
  readonly networkNamespace: boolean;
  /** What `kubectl get nodes,pods -A` says, or the error in its place. */
  readonly objects: string;
}

export async function status(layout: Layout): Promise<ClusterStatus> {
  const processes = recordedProcesses(layout).map(record => ({
    name: record.name,
    pid: record.pid,
    alive: isAlive(record),
  }));
  const networkNamespace = (await networkNamespaces()).includes(layout.netns);
  if (!networkNamespace) return {processes, networkNamespace, objects: ''};
  const answer = await tryRun(...kubectlCommand(layout, ['get', 'nodes,pods', '-A', '-o', 'wide']));
  return {processes, networkNamespace, objects: answer.code === 0 ? answer.stdout : answer.stderr};
}
