import type {ScopeTarget} from '@scope/api';
import {applyUntilReady, condition, deleteUntilGone, readAttach, scopeAttach, untilAttach} from './support/attaches';
import {apply, kubectl, list, untilObject} from './support/kubectl';
import {whenCluster} from './support/when-cluster';
import {startWorkloads} from './support/workloads';

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
