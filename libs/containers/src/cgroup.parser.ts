/** Who started a container, as far as its cgroup's name tells. */
export type ContainerRuntime = 'containerd' | 'cri-o' | 'docker' | 'podman';

/** The container that a process belongs to. */
export interface ContainerMembership {
  /** 64 hexadecimal digits. */
  readonly containerId: string;
  readonly runtime?: ContainerRuntime;
  /** The pod's uid with dashes, when the path names a pod. */
  readonly podUid?: string;
}

/*
 * What the paths look like (kubelet: cgroup_manager_linux.go; runc: libcontainer/cgroups; crio: internal/config/cgmgr):
 *
 *   cgroupfs driver   /kubepods/burstable/pod<uid>/<id>                      guaranteed pods have no middle part
 *   systemd driver    /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope
 *                     dashes of the uid become underscores: dashes are systemd's hierarchy
 *   CRI-O             …-pod<uid>.slice/crio-<id>.scope[/container]           crio-conmon-<id>.scope is its monitor
 *   Docker            /docker/<id>, /system.slice/docker-<id>.scope
 *   Podman            /machine.slice/libpod-<id>.scope[/container]           libpod-conmon-<id>.scope is its monitor
 *   nested            /docker/<outer>/kubelet/kubepods/…/<id>                the innermost one is meant
 *   seen from inside another cgroup namespace: /../../<the rest>
 *
 * /proc/PID/cgroup (cgroups(7)) has a line `hierarchy:controllers:path` for each v1 hierarchy and `0::path` for v2.
 */
const ID = /^(?:(cri-containerd|crio|docker|libpod)-)?([0-9a-f]{64})(?:\.scope)?$/;
const POD =
  /(?:^|-)pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$/;
/** CRI with a systemd cgroup path that containerd was given as `slice:prefix:name` under the cgroupfs driver. */
const COLON_ID = /:(cri-containerd|crio):([0-9a-f]{64})$/;

const RUNTIMES: Readonly<Record<string, ContainerRuntime>> = {
  'cri-containerd': 'containerd',
  crio: 'cri-o',
  docker: 'docker',
  libpod: 'podman',
};

/** The membership that the text of /proc/PID/cgroup shows; undefined for a process of no container. */
export function parseCgroups(text: string): ContainerMembership | undefined {
  let found: ContainerMembership | undefined;
  for (const line of text.split('\n')) {
    const path = cgroupPath(line);
    const membership = path === undefined ? undefined : parseCgroupPath(path);
    // Some hierarchies hold a container's processes higher up than others: the most telling line counts.
    if (membership !== undefined && (found === undefined || detail(membership) > detail(found))) found = membership;
  }
  return found;
}

/** The third field, which may itself hold colons. */
function cgroupPath(line: string): string | undefined {
  const first = line.indexOf(':');
  const second = line.indexOf(':', first + 1);
  return first < 0 || second < 0 ? undefined : line.slice(second + 1);
}

const detail = ({podUid, runtime}: ContainerMembership): number =>
  (podUid === undefined ? 0 : 2) + (runtime === undefined ? 0 : 1);

/** The innermost container that a cgroup's path names. */
export function parseCgroupPath(path: string): ContainerMembership | undefined {
  const segments = path.split('/');
  for (let index = segments.length - 1; index >= 0; index -= 1) {
    const segment = segments[index] ?? '';
    const match = ID.exec(segment) ?? COLON_ID.exec(segment);
    const [, prefix, containerId] = match ?? [];
    if (containerId === undefined) continue;
    const parents = segments.slice(0, index);
    const runtime = RUNTIMES[prefix ?? (parents.at(-1) === 'docker' ? 'docker' : '')];
    const podUid = podUidOf([...parents, segment.split(':')[0] ?? '']);
    return {containerId, ...(runtime !== undefined && {runtime}), ...(podUid !== undefined && {podUid})};
  }
  return undefined;
}

function podUidOf(segments: readonly string[]): string | undefined {
  for (const segment of segments.toReversed()) {
    const uid = POD.exec(segment)?.[1];
    if (uid !== undefined) return uid.replaceAll('_', '-');
  }
  return undefined;
}
