import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {basename} from 'node:path';
import type {Layout} from './layout';
import {containerdSocket} from './layout';
import {run, tryRun} from './shell';

const ctr = (layout: Layout, ...args: string[]): string[] => ['-a', containerdSocket(layout), '-n', 'k8s.io', ...args];

/** Kills the tasks of every container and returns the names of the network namespaces their pods had. */
export async function killContainers(layout: Layout): Promise<readonly string[]> {
  if (!existsSync(containerdSocket(layout))) return [];
  const listed = await tryRun('ctr', ctr(layout, 'container', 'ls', '-q'), {timeoutMs: 10_000});
  const ids = listed.stdout.split('\n').filter(id => id !== '');
  const namespaces = new Set<string>();
  for (const id of ids) {
    const info = await tryRun('ctr', ctr(layout, 'container', 'info', id), {timeoutMs: 10_000});
    for (const match of info.stdout.matchAll(/\/netns\/(cni-[0-9a-f-]+)/g)) {
      if (match[1] !== undefined) namespaces.add(match[1]);
    }
    await tryRun('ctr', ctr(layout, 'task', 'kill', '-s', '9', id), {timeoutMs: 10_000});
  }
  return [...namespaces];
}

/** Ends the shims that serve this cluster's containerd, known by the socket's path on their command line. */
export function killShims(layout: Layout): void {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const args = commandLine(entry);
    const program = basename(args[0] ?? '');
    if (program === 'containerd-shim-runc-v2' && args.includes(containerdSocket(layout))) {
      process.kill(Number(entry), 'SIGKILL');
    }
  }
}

function commandLine(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** Unmounts everything below the cluster's folder, innermost first. */
export async function unmountAll(layout: Layout): Promise<void> {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map(line => line.split(' ')[1] ?? '')
    .filter(path => path.startsWith(`${layout.dir}/`))
    .sort()
    .reverse();
  for (const path of mounts) await run('umount', ['-l', path]);
}
