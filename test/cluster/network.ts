import type {Layout} from './layout';
import {run} from './shell';

/** Makes the namespace the cluster lives in: loopback, and a bridge that carries the node's address. No way out. */
export async function createNetwork(layout: Layout): Promise<void> {
  const inside = (...args: string[]): Promise<string> =>
    run('nsenter', [`--net=/var/run/netns/${layout.netns}`, ...args]);
  await run('ip', ['netns', 'add', layout.netns]);
  await inside('ip', 'link', 'set', 'lo', 'up');
  // A bridge without ports stands in for a network card where the kernel has no dummy device.
  await inside('ip', 'link', 'add', 'node0', 'type', 'bridge');
  await inside('ip', 'addr', 'add', `${layout.nodeAddress}/24`, 'dev', 'node0');
  await inside('ip', 'link', 'set', 'node0', 'up');
  // The API server wants a default route to find its own address by.
  await inside('ip', 'route', 'add', 'default', 'dev', 'node0');
  await inside('sysctl', '-qw', 'net.ipv4.ip_forward=1');
}

export async function deleteNetwork(layout: Layout): Promise<void> {
  if ((await networkNamespaces()).includes(layout.netns)) await run('ip', ['netns', 'del', layout.netns]);
}

/** Names as `ip netns list` gives them; an id may follow a name. */
export async function networkNamespaces(): Promise<readonly string[]> {
  const output = await run('ip', ['netns', 'list']);
  return output
    .split('\n')
    .map(line => line.split(' ')[0] ?? '')
    .filter(name => name !== '');
}
