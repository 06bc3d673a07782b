import {join} from 'node:path';
import type {Layout} from './layout';
import {auditLog, auditPolicyFile, kubeconfigFile, pkiFile} from './layout';

/** Flags of one program of the combined binary. */
export interface Component {
  readonly name: string;
  readonly args: readonly string[];
}

/** The flag set `--key=value` of a record. */
const flags = (values: Readonly<Record<string, string>>): string[] =>
  Object.entries(values).map(([key, value]) => `--${key}=${value}`);

export function etcd(layout: Layout): Component {
  const url = 'http://127.0.0.1:2379';
  return {
    name: 'etcd',
    args: [
      'etcd',
      '--unsafe-no-fsync', // A cluster for minutes: nothing to survive a power cut.
      ...flags({
        'data-dir': join(layout.dir, 'etcd'),
        'listen-client-urls': url,
        'advertise-client-urls': url,
        'listen-peer-urls': 'http://127.0.0.1:2380',
      }),
    ],
  };
}

export function apiServer(layout: Layout): Component {
  const pki = (name: string): string => pkiFile(layout, name);
  return {
    name: 'apiserver',
    args: [
      'kube-apiserver',
      ...flags({
        'etcd-servers': 'http://127.0.0.1:2379',
        'advertise-address': layout.nodeAddress,
        'bind-address': '0.0.0.0',
        'secure-port': '6443',
        'tls-cert-file': pki('apiserver.crt'),
        'tls-private-key-file': pki('apiserver.key'),
        'client-ca-file': pki('ca.crt'),
        'service-account-issuer': 'https://kubernetes.default.svc',
        'service-account-key-file': pki('sa.pub'),
        'service-account-signing-key-file': pki('sa.key'),
        'service-cluster-ip-range': layout.serviceCidr,
        'authorization-mode': 'Node,RBAC',
        'allow-privileged': 'true',
        'kubelet-client-certificate': pki('admin.crt'),
        'kubelet-client-key': pki('admin.key'),
        'kubelet-certificate-authority': pki('ca.crt'),
        // exec and logs would otherwise ask a resolver for the node's name.
        'kubelet-preferred-address-types': 'InternalIP',
        'requestheader-client-ca-file': pki('ca.crt'),
        'requestheader-allowed-names': 'front-proxy',
        'requestheader-username-headers': 'X-Remote-User',
        'requestheader-group-headers': 'X-Remote-Group',
        'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
        'proxy-client-cert-file': pki('front.crt'),
        'proxy-client-key-file': pki('front.key'),
        'enable-aggregator-routing': 'true',
        'audit-policy-file': auditPolicyFile(layout),
        'audit-log-path': auditLog(layout),
      }),
    ],
  };
}

export function controllerManager(layout: Layout): Component {
  return {
    name: 'controllers',
    args: [
      'kube-controller-manager',
      ...flags({
        kubeconfig: kubeconfigFile(layout, 'controllers'),
        'service-account-private-key-file': pkiFile(layout, 'sa.key'),
        'root-ca-file': pkiFile(layout, 'ca.crt'),
        'use-service-account-credentials': 'true',
        'cluster-signing-cert-file': pkiFile(layout, 'ca.crt'),
        'cluster-signing-key-file': pkiFile(layout, 'ca.key'),
        'leader-elect': 'false',
      }),
    ],
  };
}

export function scheduler(layout: Layout): Component {
  return {
    name: 'scheduler',
    args: ['kube-scheduler', ...flags({kubeconfig: kubeconfigFile(layout, 'scheduler'), 'leader-elect': 'false'})],
  };
}

export function kubelet(layout: Layout): Component {
  return {
    name: 'kubelet',
    args: [
      'kubelet',
      ...flags({
        config: join(layout.dir, 'kubelet.yaml'),
        kubeconfig: kubeconfigFile(layout, 'kubelet'),
        'hostname-override': layout.nodeName,
        'node-ip': layout.nodeAddress,
        'root-dir': join(layout.dir, 'kubelet'),
        'cert-dir': join(layout.dir, 'kubelet-pki'),
      }),
    ],
  };
}

export function kubeProxy(layout: Layout): Component {
  return {
    name: 'proxy',
    args: [
      'kube-proxy',
      ...flags({
        kubeconfig: kubeconfigFile(layout, 'admin'),
        'proxy-mode': 'iptables',
        'cluster-cidr': layout.podCidr,
        'hostname-override': layout.nodeName,
        // Zero means: leave the kernel's limits alone, which a container may not change.
        'conntrack-max-per-core': '0',
        'conntrack-min': '0',
        'conntrack-tcp-timeout-established': '0',
        'conntrack-tcp-timeout-close-wait': '0',
      }),
    ],
  };
}
