import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Layout} from './layout';
import {apiServerUrl, kubeconfigFile, pkiFile} from './layout';
import {run} from './shell';

/** Who holds a certificate of the cluster's own authority, and under which names it is found. */
interface Identity {
  readonly name: string;
  readonly subject: string;
  readonly alternativeNames: string;
}

/** Makes the authority, one certificate per component, the service account keys, and a kubeconfig for each client. */
export async function writeCertificates(layout: Layout): Promise<void> {
  const dir = join(layout.dir, 'pki');
  mkdirSync(dir, {recursive: true});
  const openssl = (...args: string[]): Promise<string> => run('openssl', args, {cwd: dir});
  await openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-subj',
    '/CN=ca',
    '-days',
    '30',
  );
  await Promise.all([
    // Serial numbers are given, not counted in a file: the certificates are made at the same time.
    ...identities(layout).map((identity, index) => writeCertificate(dir, identity, String(index + 1), openssl)),
    openssl('genrsa', '-out', 'sa.key', '2048').then(() =>
      openssl('rsa', '-in', 'sa.key', '-pubout', '-out', 'sa.pub'),
    ),
  ]);
  for (const client of ['admin', 'kubelet', 'controllers', 'scheduler']) {
    writeFileSync(kubeconfigFile(layout, client), kubeconfig(layout, client), {mode: 0o600});
  }
}

function identities(layout: Layout): readonly Identity[] {
  const address = layout.nodeAddress;
  return [
    {
      name: 'apiserver',
      subject: '/CN=kube-apiserver',
      alternativeNames: `IP:${address},IP:127.0.0.1,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost`,
    },
    {name: 'admin', subject: '/O=system:masters/CN=admin', alternativeNames: 'DNS:admin'},
    {
      name: 'kubelet',
      subject: `/O=system:nodes/CN=system:node:${layout.nodeName}`,
      alternativeNames: `DNS:${layout.nodeName},IP:${address}`,
    },
    {name: 'controllers', subject: '/CN=system:kube-controller-manager', alternativeNames: 'DNS:controllers'},
    {name: 'scheduler', subject: '/CN=system:kube-scheduler', alternativeNames: 'DNS:scheduler'},
    {name: 'front', subject: '/CN=front-proxy', alternativeNames: 'DNS:front'},
  ];
}

async function writeCertificate(
  dir: string,
  identity: Identity,
  serial: string,
  openssl: (...args: string[]) => Promise<string>,
): Promise<void> {
  const {name, subject} = identity;
  writeFileSync(join(dir, `${name}.ext`), `subjectAltName=${identity.alternativeNames}\n`);
  await openssl(
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.csr`,
    '-subj',
    subject,
  );
  await openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    '-CA',
    'ca.crt',
    '-CAkey',
    'ca.key',
    '-set_serial',
    serial,
    '-out',
    `${name}.crt`,
    '-days',
    '30',
    '-extfile',
    `${name}.ext`,
  );
}

function kubeconfig(layout: Layout, client: string): string {
  return `apiVersion: v1
kind: Config
clusters:
- name: cluster
  cluster: {server: "${apiServerUrl(layout)}", certificate-authority: ${pkiFile(layout, 'ca.crt')}}
users:
- name: user
  user: {client-certificate: ${pkiFile(layout, `${client}.crt`)}, client-key: ${pkiFile(layout, `${client}.key`)}}
contexts:
- name: context
  context: {cluster: cluster, user: user}
current-context: context
`;
}
