import * as fc from 'fast-check';
import {parseCgroupPath, parseCgroups} from './cgroup.parser';

const ID = '0123456789abcdef'.repeat(4);
const OUTER = 'f'.repeat(64);
const UID = '7f3c1b9e-2d4a-4c8e-9b1f-0a1b2c3d4e5f';
const SYSTEMD_UID = UID.replaceAll('-', '_');
const SLICE = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${SYSTEMD_UID}.slice`;

describe('parseCgroupPath', () => {
  it.each([
    ['kubelet, cgroupfs', `/kubepods/burstable/pod${UID}/${ID}`, {podUid: UID}],
    ['kubelet, cgroupfs, guaranteed', `/kubepods/pod${UID}/${ID}`, {podUid: UID}],
    ['containerd, systemd', `${SLICE}/cri-containerd-${ID}.scope`, {runtime: 'containerd', podUid: UID}],
    [
      'containerd, systemd, guaranteed',
      `/kubepods.slice/kubepods-pod${SYSTEMD_UID}.slice/cri-containerd-${ID}.scope`,
      {runtime: 'containerd', podUid: UID},
    ],
    ['CRI-O', `${SLICE}/crio-${ID}.scope`, {runtime: 'cri-o', podUid: UID}],
    ['CRI-O on v2', `${SLICE}/crio-${ID}.scope/container`, {runtime: 'cri-o', podUid: UID}],
    ['Docker below Kubernetes', `${SLICE}/docker-${ID}.scope`, {runtime: 'docker', podUid: UID}],
    ['Docker, cgroupfs', `/docker/${ID}`, {runtime: 'docker'}],
    ['Docker, systemd', `/system.slice/docker-${ID}.scope`, {runtime: 'docker'}],
    ['Podman', `/machine.slice/libpod-${ID}.scope/container`, {runtime: 'podman'}],
    ['nested in Docker', `/docker/${OUTER}/kubelet/kubepods/besteffort/pod${UID}/${ID}`, {podUid: UID}],
    ['from another cgroup namespace', `/../../pod${UID}/${ID}`, {podUid: UID}],
    ['from a sibling', `/../cri-containerd-${ID}.scope`, {runtime: 'containerd'}],
    ['a cgroup made inside', `/kubepods/pod${UID}/${ID}/init.scope`, {podUid: UID}],
    [
      'colons',
      `/system.slice/containerd.service/kubepods-burstable-pod${SYSTEMD_UID}.slice:cri-containerd:${ID}`,
      {runtime: 'containerd', podUid: UID},
    ],
    ['a static pod', `/kubepods/burstable/pod${'ab'.repeat(16)}/${ID}`, {podUid: 'ab'.repeat(16)}],
  ])('reads %s', (_what, path, expected) => {
    expect(parseCgroupPath(path)).toEqual({containerId: ID, ...expected});
  });

  it.each([
    ['the root', '/'],
    ['a service', '/system.slice/ssh.service'],
    ['a user’s session', '/user.slice/user-1000.slice/session-3.scope'],
    ['CRI-O’s monitor', `${SLICE}/crio-conmon-${ID}.scope`],
    ['Podman’s monitor', `/machine.slice/libpod-conmon-${ID}.scope`],
    ['a pod without container', `/kubepods/burstable/pod${UID}`],
    ['digits one too few', `/docker/${ID.slice(1)}`],
  ])('sees no container in %s', (_what, path) => {
    expect(parseCgroupPath(path)).toBeUndefined();
  });
});

describe('parseCgroups', () => {
  it('reads cgroup v2', () => {
    expect(parseCgroups(`0::${SLICE}/cri-containerd-${ID}.scope\n`)).toMatchObject({containerId: ID, podUid: UID});
  });

  it('reads cgroup v1, where not every hierarchy knows the container', () => {
    const text = `12:memory:/kubepods/burstable/pod${UID}/${ID}\n3:name=systemd:/docker/${ID}\n1:cpuset:/\n0::/\n`;
    expect(parseCgroups(text)).toEqual({containerId: ID, podUid: UID});
  });

  it('sees none in a host process, an empty file, or lines of another form', () => {
    expect(parseCgroups('0::/init.scope\n')).toBeUndefined();
    expect(parseCgroups('')).toBeUndefined();
    expect(parseCgroups('nothing\n:\n')).toBeUndefined();
  });

  it('never throws, and every id it gives is one', () => {
    fc.assert(
      fc.property(fc.string({unit: fc.constantFrom(...'0:/.-_abpodslicecopedockr\n'.split(''), ID)}), text => {
        const membership = parseCgroups(text);
        return membership === undefined || /^[0-9a-f]{64}$/.test(membership.containerId);
      }),
    );
  });
});
