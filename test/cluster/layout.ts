import {homedir} from 'node:os';
import {join, resolve} from 'node:path';

/** Folder of this harness and root of the checkout. Jest and the bundle both run it as CommonJS. */
export const harnessDir = __dirname;
export const repositoryRoot = resolve(harnessDir, '../..');

/** Built binaries and images, keyed by the hash of what they are made from. Outside the tree. */
export function cacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'scope');
}

/** Where one cluster keeps everything it writes; deleting it (after `down`) leaves nothing behind. */
export interface Layout {
  readonly dir: string;
  /** Network namespace that holds the whole cluster. */
  readonly netns: string;
  readonly nodeName: string;
  readonly nodeAddress: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
}

export function defaultLayout(env: NodeJS.ProcessEnv = process.env): Layout {
  const name = env.SCOPE_CLUSTER_NAME ?? 'scope-e2e';
  return {
    // Short on purpose: unix socket paths end at 107 bytes.
    dir: env.SCOPE_CLUSTER_DIR ?? join('/var/tmp', name),
    netns: name,
    nodeName: 'node0',
    nodeAddress: '10.77.0.1',
    podCidr: '10.88.0.0/24',
    serviceCidr: '10.96.0.0/16',
  };
}

export const apiServerUrl = (layout: Layout): string => `https://${layout.nodeAddress}:6443`;
export const containerdSocket = (layout: Layout): string => join(layout.dir, 'containerd.sock');
export const kubeconfigFile = (layout: Layout, user: string): string => join(layout.dir, `${user}.kubeconfig`);
export const pkiFile = (layout: Layout, name: string): string => join(layout.dir, 'pki', name);
export const auditPolicyFile = (layout: Layout): string => join(layout.dir, 'audit-policy.json');
/** One JSON object a line (audit.k8s.io/v1 Event). */
export const auditLog = (layout: Layout): string => join(layout.dir, 'log', 'audit.jsonl');
