import {existsSync, readFileSync, readdirSync, rmdirSync} from 'node:fs';
import {basename, join} from 'node:path';
import type {Layout} from './layout';
import {containerdSocket} from './layout';
import {killAndWait, processIds} from './processes';
import {run} from './shell';

// Rule of this file: no daemon is asked. All of them may have been killed at once, by what ended a run in its middle; then
// the sockets are there, nobody answers, and the pods' processes live on. What is true is on disk and in the kernel.

const CGROUPS = '/sys/fs/cgroup';

/** Ids of the containers that this cluster's containerd has started: it keeps a folder for each. */
function containerIds(layout: Layout): readonly string[] {
  const folder = join(layout.dir, 'containerd-run/io.containerd.runtime.v2.task/k8s.io');
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Ends the shims of this cluster's containerd, known by its socket on their command line. */
export async function killShims(layout: Layout): Promise<void> {
  const socket = containerdSocket(layout);
  await killAndWait('the containers’ shims', () =>
    processIds().filter(pid => {
      const args = readText(`/proc/${pid}/cmdline`).split('\0');
      return basename(args[0] ?? '') === 'containerd-shim-runc-v2' && args.includes(socket);
    }),
  );
}

/** Ends every process of every container. After the shims: one of them may be about to start another. */
export async function killContainerProcesses(layout: Layout): Promise<void> {
  await killAndWait('the containers’ processes', () => containerProcesses(layout));
}

/** Ids of the processes in this cluster's containers, by their cgroups. */
export function containerProcesses(layout: Layout): readonly number[] {
  const ids = containerIds(layout);
  return processIds().filter(pid => {
    const cgroups = readText(`/proc/${pid}/cgroup`);
    return ids.some(id => cgroups.includes(id));
  });
}

/** Where the kubelet keeps the cgroups of pods: one tree a controller with cgroup v1, one at all with v2. */
const podCgroups = (): readonly string[] =>
  [CGROUPS, ...readdirSync(CGROUPS).map(name => join(CGROUPS, name))]
    .map(folder => join(folder, 'kubepods'))
    .filter(folder => existsSync(folder));

/** Removes the cgroups of pods in which nothing runs, innermost first. The kernel refuses the others: they are in use. */
export function removePodCgroups(): void {
  for (const folder of podCgroups()) removeEmpty(folder);
}

function removeEmpty(folder: string): void {
  try {
    for (const entry of readdirSync(folder, {withFileTypes: true})) {
      if (entry.isDirectory()) removeEmpty(join(folder, entry.name));
    }
    rmdirSync(folder);
  } catch {
    // In use, or gone meanwhile.
  }
}

/** Paths of the mounts below the cluster's folder, innermost first. */
export const mountsBelow = (layout: Layout): readonly string[] =>
  readText('/proc/self/mountinfo')
    .split('\n')
    .map(line => line.split(' ')[4] ?? '')
    .filter(path => path.startsWith(`${layout.dir}/`))
    .sort()
    .reverse();

/** Unmounts everything below the cluster's folder: the containers' roots, volumes, and the pods' network namespaces. */
export async function unmountAll(layout: Layout): Promise<void> {
  for (const path of mountsBelow(layout)) await run('umount', ['-l', path]);
}

/** Traces of pods that are there: their cgroups, and this cluster's mounts. */
export const podTraces = (layout: Layout): readonly string[] => [...podCgroups(), ...mountsBelow(layout)];

/** Empty when it is gone meanwhile. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
