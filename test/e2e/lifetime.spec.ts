import type {ScopeTarget} from '@scope/api';
import {until} from '../cluster/shell';
import {isPatched, textDifferences} from '../support/intact';
import {tracerPid} from '../support/proc';
import {applyUntilReady, condition, deleteUntilGone, readAttach, scopeAttach, untilAttach} from './support/attaches';
import {apply, kubectl, list, untilObject} from './support/kubectl';
import {whenCluster} from './support/when-cluster';
import {addresses, processesOf, restarts, startWorkloads} from './support/workloads';

whenCluster('the life of a ScopeAttach', () => {
  beforeAll(startWorkloads);

  const targets = (): Promise<readonly ScopeTarget[]> => list<ScopeTarget>('scopetargets', 'shop');

  it('waits for a pod that does not exist, and says so', async () => {
    await apply(scopeAttach('early', {target: {podName: 'not-yet'}}));
    const attach = await untilAttach('the status', 'early', one => condition(one, 'Ready') !== undefined);
    expect(condition(attach, 'Ready')).toMatchObject({status: 'False', reason: 'TargetNotFound'});
    expect(attach.metadata.finalizers).toEqual(['scopeattach.dev/detach']);
    await deleteUntilGone('scopeattach', 'early', 'shop');
  });

  it('takes a Deployment’s pods, and a pod that comes later', async () => {
    await applyUntilReady(scopeAttach('deploy', {target: {workloadRef: {kind: 'Deployment', name: 'web'}}}));
    await kubectl('scale', '-n', 'shop', 'deployment/web', '--replicas=3');
    await untilAttach('the third pod', 'deploy', one => one.status?.pods?.scoped === 3);
    await kubectl('scale', '-n', 'shop', 'deployment/web', '--replicas=2');
    await untilAttach('the third pod’s end', 'deploy', one => one.status?.pods?.matched === 2);
    expect(await untilObject('two targets', targets, found => found.length === 2)).toHaveLength(2);
    await deleteUntilGone('scopeattach', 'deploy', 'shop');
  });

  it('pauses and goes on', async () => {
    await applyUntilReady(scopeAttach('pause', {target: {podName: 'python'}}));
    await apply(scopeAttach('pause', {target: {podName: 'python'}, suspend: true}));
    const paused = await untilAttach('the pause', 'pause', one => condition(one, 'Ready')?.reason === 'Suspended');
    expect(paused.status?.observedGeneration).toBe(paused.metadata.generation);
    await untilObject('no target', targets, found => found.length === 0);
    await applyUntilReady(scopeAttach('pause', {target: {podName: 'python'}, suspend: false}));
    await deleteUntilGone('scopeattach', 'pause', 'shop');
  });

  it('ends by itself, and vanishes when told to', async () => {
    const spec = {target: {podName: 'python'}, activeDeadlineSeconds: 3, ttlSecondsAfterFinished: 2};
    await apply(scopeAttach('short', spec));
    const over = await untilAttach(
      'the deadline',
      'short',
      one => condition(one, 'Ready')?.reason === 'DeadlineExceeded',
    );
    expect(over.status?.completionTime).toBeDefined();
    await untilObject(
      'its end',
      async () => ({gone: (await readAttach('short')) === undefined}),
      ({gone}) => gone,
    );
    expect(await targets()).toEqual([]);
  });

  it('scopes only the processes that pass', async () => {
    const processes = {commandLine: 'worker process'};
    await applyUntilReady(scopeAttach('workers', {target: {selector: {matchLabels: {app: 'web'}}, processes}}));
    const found = await targets();
    const names = found.flatMap(target => target.status?.processes ?? []);
    expect(names).toHaveLength(4);
    expect(names.every(({state, pid}) => state === 'Scoped' && pid !== 1)).toBe(true);
    await deleteUntilGone('scopeattach', 'workers', 'shop');
  });

  it('lets go of a pod that loses its label', async () => {
    await kubectl('label', 'pod', '-n', 'shop', 'python', 'watched=yes');
    await applyUntilReady(scopeAttach('labelled', {target: {selector: {matchLabels: {watched: 'yes'}}}}));
    const pids = await processesOf('python');
    expect(pids.filter(isPatched)).toEqual(pids);
    await kubectl('label', 'pod', '-n', 'shop', 'python', 'watched-');
    await untilAttach('the pod’s leave', 'labelled', one => condition(one, 'Ready')?.reason === 'NoMatchingPods');
    await untilObject('no target', targets, found => found.length === 0);
    expect(pids.flatMap(textDifferences)).toEqual([]);
    await deleteUntilGone('scopeattach', 'labelled', 'shop');
    expect(await restarts('shop', 'app=python')).toEqual([0]);
  });

  it('scopes a process that starts later', async () => {
    await applyUntilReady(scopeAttach('later', {target: {podName: 'client'}}));
    const loop = [
      'import time, urllib.request',
      'for n in range(100):',
      `    urllib.request.urlopen("http://${addresses.web}/later", timeout=5).read()`,
      '    time.sleep(.1)',
    ];
    const later = kubectl('exec', '-n', 'shop', 'client', '--', 'python3', '-c', loop.join('\n'));
    const attach = await untilAttach('the second process', 'later', one => one.status?.processes?.scoped === 2);
    expect(attach.status?.pods).toMatchObject({matched: 1, scoped: 1});
    await later;
    const [target] = await untilObject('its end', targets, found => found[0]?.status?.counts?.exited === 1);
    const [ended] = target?.status?.processes?.filter(({state}) => state === 'Exited') ?? [];
    expect(ended).toMatchObject({container: 'client', name: 'python3'});
    await deleteUntilGone('scopeattach', 'later', 'shop');
  });

  it('says of a process why it can not be scoped, and scopes it when it can', async () => {
    const before = await processesOf('client');
    // A child whose tracer its parent is: no process can have two. The tracer goes when it is told to.
    const code = [
      'import ctypes, os, signal, time',
      'if os.fork() == 0:',
      '    ctypes.CDLL(None).ptrace(0, 0, 0, 0)',
      'time.sleep(300)',
    ];
    const running = kubectl('exec', '-n', 'shop', 'client', '--', 'python3', '-c', code.join('\n')).catch(() => '');
    const traced = await until('the traced process', 30_000, async () =>
      (await processesOf('client')).find(pid => tracerPid(pid) !== 0),
    );
    try {
      await apply(scopeAttach('traced', {target: {podName: 'client'}}));
      const refused = await untilAttach('the refusal', 'traced', one => (one.status?.processes?.failed ?? 0) > 0);
      expect(condition(refused, 'Ready')).toMatchObject({status: 'False', reason: 'AlreadyTraced'});
      expect(refused.status?.failures).toEqual([
        {
          reason: 'AlreadyTraced',
          count: 1,
          example: expect.stringMatching(/^pod client, container client, process /) as string,
        },
      ]);
      const [target] = await targets();
      const failed = target?.status?.processes?.filter(({state}) => state === 'Failed') ?? [];
      expect(failed).toMatchObject([{container: 'client', name: 'python3', reason: 'AlreadyTraced'}]);

      process.kill(tracerPid(traced), 'SIGKILL');
      await untilAttach('it to be scoped', 'traced', one => condition(one, 'Ready')?.status === 'True', 90_000);
      expect(isPatched(traced)).toBe(true);
    } finally {
      await deleteUntilGone('scopeattach', 'traced', 'shop');
      for (const pid of await processesOf('client')) if (!before.includes(pid)) process.kill(pid, 'SIGKILL');
      await running;
    }
  });

  it('scopes a restarted container again', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {name: 'phoenix', namespace: 'shop'},
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{name: 'server', image: 'localhost/e2e/go:1', imagePullPolicy: 'Never'}],
      },
    };
    await apply(pod);
    await kubectl('wait', '-n', 'shop', 'pod/phoenix', '--for=condition=Ready', '--timeout=60s');
    await applyUntilReady(scopeAttach('phoenix', {target: {podName: 'phoenix'}}));
    const before = await processesOf('phoenix');
    for (const pid of before) process.kill(pid, 'SIGKILL');
    const again = await untilObject(
      'the restarted container’s process, scoped',
      () => processesOf('phoenix').catch(() => []),
      pids => pids.length > 0 && pids.every(pid => !before.includes(pid)) && pids.every(isPatched),
    );
    expect(again).toHaveLength(before.length);
    await untilAttach('the status', 'phoenix', one => one.status?.processes?.scoped === 1);
    await deleteUntilGone('scopeattach', 'phoenix', 'shop');
    expect(again.flatMap(textDifferences)).toEqual([]);
    await kubectl('delete', 'pod', '-n', 'shop', 'phoenix', '--timeout=60s');
  });

  it('shows what a person asks first', async () => {
    await applyUntilReady(scopeAttach('columns', {target: {podName: 'python'}, activeDeadlineSeconds: 600}));
    const table = await kubectl('get', 'scope', '-n', 'shop');
    expect(table.split('\n')[0]?.split(/\s+/)).toEqual([
      'NAME',
      'PODS',
      'SCOPED',
      'FAILED',
      'STATUS',
      'EXPIRES',
      'AGE',
    ]);
    expect(table).toMatch(/columns\s+1\s+1\s+0\s+Scoped\s+\d{4}-/);
    await deleteUntilGone('scopeattach', 'columns', 'shop');
  });
});
