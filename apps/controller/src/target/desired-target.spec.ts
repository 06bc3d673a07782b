import type {ScopeAttach} from '@scope/api';
import type {Pod} from '@scope/kube';
import {desiredTarget} from './desired-target';
import {targetName} from './target-name';

const attach: ScopeAttach = {
  apiVersion: 'scopeattach.dev/v1alpha1',
  kind: 'ScopeAttach',
  metadata: {name: 'checkout', namespace: 'shop', uid: 'attach-1'},
  spec: {target: {podName: 'web-1'}, capture: {http: {}}},
};
const running = (name: string, id = `containerd://${name}`): {name: string; containerID: string; state: object} => ({
  name,
  containerID: id,
  state: {running: {}},
});
const pod: Pod = {
  metadata: {name: 'web-1', namespace: 'shop', uid: 'pod-1'},
  spec: {nodeName: 'n1'},
  status: {
    phase: 'Running',
    containerStatuses: [running('app'), {name: 'late'}, {...running('ended'), state: {}}],
    initContainerStatuses: [running('proxy')],
  },
};

describe('desiredTarget', () => {
  it('names the running containers and copies what is asked for', () => {
    expect(desiredTarget(attach, pod)).toMatchObject({
      metadata: {
        namespace: 'shop',
        labels: {'scopeattach.dev/attach-kind': 'ScopeAttach', 'scopeattach.dev/attach-name': 'checkout'},
        finalizers: ['scopeattach.dev/detach'],
        ownerReferences: [{kind: 'ScopeAttach', uid: 'attach-1', controller: true, blockOwnerDeletion: true}],
      },
      spec: {
        nodeName: 'n1',
        podName: 'web-1',
        podUID: 'pod-1',
        containers: [
          {name: 'proxy', id: 'containerd://proxy'},
          {name: 'app', id: 'containerd://app'},
        ],
        capture: {http: {}},
      },
    });
  });

  it('takes only the containers that are named', () => {
    const only: ScopeAttach = {...attach, spec: {target: {podName: 'web-1', containers: ['app']}}};
    expect(desiredTarget(only, pod)?.spec.containers).toEqual([{name: 'app', id: 'containerd://app'}]);
  });

  it('waits for a pod that is not placed', () => {
    expect(desiredTarget(attach, {...pod, spec: {}})).toBeUndefined();
  });
});

describe('targetName', () => {
  it('is a name of at most 63 characters, the same each time, another for another pod of that name', () => {
    const long = `${'a'.repeat(51)}.${'b'.repeat(200)}`;
    const name = targetName(long, 'pod-1', 'attach-1');
    expect(name).toMatch(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
    expect(name.length).toBeLessThanOrEqual(63);
    expect(targetName(long, 'pod-1', 'attach-1')).toBe(name);
    expect(targetName(long, 'pod-2', 'attach-1')).not.toBe(name);
    expect(targetName(long, 'pod-1', 'attach-2')).not.toBe(name);
  });
});
