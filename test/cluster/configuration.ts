import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Layout} from './layout';
import {auditPolicyFile, containerdSocket, pkiFile} from './layout';

export const pauseImage = 'test.local/pause:1';

/** Writes the configuration files of containerd, its network plugin and the kubelet. */
export function writeConfiguration(layout: Layout): void {
  mkdirSync(join(layout.dir, 'cni'), {recursive: true});
  mkdirSync(join(layout.dir, 'podlogs'), {recursive: true});
  writeFileSync(join(layout.dir, 'containerd.toml'), containerd(layout));
  writeFileSync(join(layout.dir, 'cni', '10-pods.conflist'), JSON.stringify(podNetwork(layout)));
  // YAML is a superset of JSON; the kubelet reads either.
  writeFileSync(join(layout.dir, 'kubelet.yaml'), JSON.stringify(kubelet(layout), undefined, 2));
  writeFileSync(auditPolicyFile(layout), JSON.stringify(auditPolicy));
}

/** One line for each request of a program that runs in a pod, but those of Kubernetes itself: what an installed program costs. */
const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    {level: 'None', userGroups: ['system:serviceaccounts:kube-system']},
    {level: 'Metadata', userGroups: ['system:serviceaccounts']},
    {level: 'None'},
  ],
};

function containerd(layout: Layout): string {
  return `version = 2
root = "${layout.dir}/containerd"
state = "${layout.dir}/containerd-run"
[grpc]
  address = "${containerdSocket(layout)}"
[plugins."io.containerd.grpc.v1.cri"]
  # Without CAP_SYS_RESOURCE an oom score can't be lowered; runc then dies before it can say so.
  restrict_oom_score_adj = true
  sandbox_image = "${pauseImage}"
  # Below our own folder instead of /var/run/netns: whoever clears that has them all.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${layout.dir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`;
}

function podNetwork(layout: Layout): object {
  return {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        ipMasq: false,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          ranges: [[{subnet: layout.podCidr}]],
          routes: [{dst: '0.0.0.0/0'}],
          dataDir: join(layout.dir, 'ipam'),
        },
      },
      {type: 'portmap', capabilities: {portMappings: true}},
      {type: 'loopback'},
    ],
  };
}

function kubelet(layout: Layout): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: {enabled: false},
      webhook: {enabled: true},
      x509: {clientCAFile: pkiFile(layout, 'ca.crt')},
    },
    authorization: {mode: 'Webhook'},
    tlsCertFile: pkiFile(layout, 'kubelet.crt'),
    tlsPrivateKeyFile: pkiFile(layout, 'kubelet.key'),
    containerRuntimeEndpoint: `unix://${containerdSocket(layout)}`,
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: true,
    // A cluster below another one's cgroup: nothing enforced at the node's level, cgroup v1 taken as well.
    cgroupRoot: '/',
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    evictionHard: {
      'memory.available': '0%',
      'nodefs.available': '0%',
      'imagefs.available': '0%',
      'nodefs.inodesFree': '0%',
    },
    imageGCHighThresholdPercent: 100,
    // Whoever may pull an image by one name may use it by another under which it was loaded: both are the tests' own.
    imagePullCredentialsVerificationPolicy: 'NeverVerify',
    localStorageCapacityIsolation: false,
    volumePluginDir: join(layout.dir, 'volumeplugins'),
    staticPodPath: '',
    podLogsDir: join(layout.dir, 'podlogs'),
  };
}
