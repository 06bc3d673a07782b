import {accessSync, constants} from 'node:fs';
import {join} from 'node:path';

/** Programs the cluster is made of, and the Debian package that brings each. */
const tools: Readonly<Record<string, string>> = {
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  ip: 'iproute2',
  iptables: 'iptables',
  conntrack: 'conntrack',
  openssl: 'openssl',
  nsenter: 'util-linux',
  sysctl: 'procps',
  gcc: 'gcc',
  tar: 'tar',
};

/** Why no cluster can run here, or undefined when one can. */
export function missingRequirement(): string | undefined {
  if (process.getuid?.() !== 0) return 'a cluster needs root: namespaces, containerd and the kubelet are started';
  const missing = Object.entries(tools).filter(([program]) => !onPath(program));
  const packages = new Set(missing.map(([, name]) => name));
  if (!exists('/usr/lib/cni/bridge')) packages.add('containernetworking-plugins');
  if (packages.size > 0) return `a cluster needs Debian packages: apt-get install ${[...packages].join(' ')}`;
  for (const program of ['go', 'kubectl']) {
    if (!onPath(program)) return `a cluster needs ${program} on PATH`;
  }
  return undefined;
}

export function requireTools(): void {
  const missing = missingRequirement();
  if (missing !== undefined) throw new Error(missing);
}

const onPath = (program: string): boolean =>
  (process.env.PATH ?? '').split(':').some(dir => exists(join(dir, program)));

function exists(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
