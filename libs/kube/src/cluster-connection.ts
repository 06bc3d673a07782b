import {readFileSync} from 'node:fs';
import type {RequestOptions} from 'node:https';
import {KubeConfig} from '@kubernetes/client-node';
import {ScopeError} from '@scope/core';

/** Where the API server is and how to prove who we are. */
export interface ClusterConnection {
  /** Base address, e.g. https://10.96.0.1:443. */
  readonly server: string;
  /** The namespace to use when none is named. */
  readonly namespace: string;
  /** TLS material and authorization header, fresh at each call: tokens are renewed on the way. */
  authenticate(): Promise<RequestAuth>;
}

export type RequestAuth = Omit<RequestOptions, 'headers'> & {readonly headers?: Readonly<Record<string, string>>};

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/**
 * The connection that kubectl would use: $KUBECONFIG, then ~/.kube/config, then the pod's service account.
 * Throws ClusterUnavailable when none of them leads anywhere.
 */
export function defaultConnection(context?: string): ClusterConnection {
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
    if (context !== undefined) config.setCurrentContext(context);
  } catch (error) {
    throw new ScopeError('ClusterUnavailable', 'The kubeconfig can not be read.', {cause: error});
  }
  return connectionOf(config);
}

export function connectionOf(config: KubeConfig): ClusterConnection {
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new ScopeError('ClusterUnavailable', 'No kubeconfig names a cluster, and this is no pod.');
  }
  return {
    server: cluster.server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? podNamespace() ?? 'default',
    authenticate: async () => {
      const options: RequestOptions & {headers: Record<string, string>} = {headers: {}};
      await config.applyToHTTPSOptions(options);
      // A new agent comes with each call (its sockets would leak, and each request shake hands anew): ours is shared.
      // https pools by ca, cert and key as well, so a renewed certificate gets a new connection.
      delete options.agent;
      if (cluster.skipTLSVerify) options.rejectUnauthorized = false;
      if (cluster.tlsServerName !== undefined) options.servername = cluster.tlsServerName;
      return options;
    },
  };
}

function podNamespace(): string | undefined {
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim();
  } catch {
    return undefined;
  }
}
