import {FakeClock} from '@scope/core';
import type {KubeClient, KubeRequest, Pod} from '@scope/kube';
import {KubeRequestError} from '@scope/kube';
import {WorkloadPods, workloadOfPod} from './workload-pods';

const owned = (kind: string, name: string, uid: string, labels: Record<string, string> = {}): Pod => ({
  metadata: {name: 'p', labels, ownerReferences: [{apiVersion: 'v1', kind, name, uid, controller: true}]},
});

/** Answers by path; anything else is not found. */
function clientWith(answers: Readonly<Record<string, unknown>>, asked: string[] = []): KubeClient {
  const send = (request: KubeRequest): Promise<unknown> => {
    asked.push(request.path);
    return request.path in answers
      ? Promise.resolve(answers[request.path])
      : Promise.reject(new KubeRequestError(404, 'not found', 'NotFound'));
  };
  return {send} as unknown as KubeClient;
}

describe('WorkloadPods', () => {
  const client = clientWith({
    '/apis/apps/v1/namespaces/shop/deployments/web': {spec: {selector: {matchLabels: {app: 'web'}}}},
    '/apis/batch/v1/namespaces/shop/cronjobs/nightly': {metadata: {uid: 'cron-1'}},
    '/apis/batch/v1/namespaces/shop/jobs': {items: [owned('CronJob', 'nightly', 'cron-1')].map(withUid('job-1'))},
  });

  it('takes a Deployment’s pods by its selector, and no one else’s', async () => {
    const {belongs} = await new WorkloadPods(client, new FakeClock()).of('shop', {kind: 'Deployment', name: 'web'});
    expect(belongs?.(owned('ReplicaSet', 'web-1', 'u', {app: 'web'}))).toBe(true);
    expect(belongs?.(owned('ReplicaSet', 'web-1', 'u', {app: 'db'}))).toBe(false);
    expect(belongs?.(owned('StatefulSet', 'web', 'u', {app: 'web'}))).toBe(false);
    expect(belongs?.({metadata: {name: 'alone', labels: {app: 'web'}}})).toBe(false);
  });

  it('takes a CronJob’s pods through its jobs', async () => {
    const {belongs} = await new WorkloadPods(client, new FakeClock()).of('shop', {kind: 'CronJob', name: 'nightly'});
    expect(belongs?.(owned('Job', 'nightly-1', 'job-1'))).toBe(true);
    expect(belongs?.(owned('Job', 'other', 'job-2'))).toBe(false);
  });

  it('knows when there is no such workload', async () => {
    const answer = new WorkloadPods(client, new FakeClock()).of('shop', {kind: 'Job', name: 'none'});
    await expect(answer).resolves.toEqual({belongs: undefined});
  });

  it('asks once in a while, and says when an answer may be out of date', async () => {
    const [asked, clock] = [[] as string[], new FakeClock()];
    const answers: Record<string, unknown> = {};
    const workloads = new WorkloadPods(clientWith(answers, asked), clock);
    const ask = async (): Promise<readonly [boolean, number | undefined]> => {
      const {belongs, againAfterMs} = await workloads.of('shop', {kind: 'Deployment', name: 'web'});
      return [belongs !== undefined, againAfterMs];
    };
    expect(await ask()).toEqual([false, undefined]);
    answers['/apis/apps/v1/namespaces/shop/deployments/web'] = {spec: {selector: {matchLabels: {app: 'web'}}}};
    await clock.advance(500);
    expect(await ask()).toEqual([false, 1_500]);
    await clock.advance(1_500);
    expect(await ask()).toEqual([true, undefined]);
    expect(asked).toHaveLength(2);
  });
});

describe('workloadOfPod', () => {
  it('names the Deployment behind a ReplicaSet', () => {
    expect(workloadOfPod(owned('ReplicaSet', 'web-7d9f', 'u', {'pod-template-hash': '7d9f'}))).toEqual({
      kind: 'Deployment',
      name: 'web',
    });
  });
  it('names any other controller itself, and none for a pod on its own', () => {
    expect(workloadOfPod(owned('StatefulSet', 'db', 'u'))).toEqual({kind: 'StatefulSet', name: 'db'});
    expect(workloadOfPod({metadata: {name: 'alone'}})).toBeUndefined();
  });
});

function withUid(uid: string): (object: Pod) => Pod {
  return object => ({...object, metadata: {...object.metadata, uid}});
}
