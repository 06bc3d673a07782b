import type {ScopeAttach, ScopeAttachStatus, ScopeTarget, ScopeTargetStatus} from '@scope/api';
import {ATTACH_KIND_LABEL, ATTACH_NAME_LABEL, DETACH_FINALIZER} from '@scope/api';
import {FakeClock} from '@scope/core';
import type {EventNote, Pod} from '@scope/kube';
import {findCondition, rfc3339, withConditions} from '@scope/kube';
import type {DesiredTarget} from '../target/desired-target';
import {AttachReconciler} from './attach.reconciler';
import type {ReconcileTools} from './reconcile-context';

const KEY = 'ScopeAttach/shop/checkout';
const START = Date.parse('2026-01-01T00:00:00Z');

/** The cluster as the reconciler sees and changes it: writes show at once, deletions wait for finalizers. */
class FakeCluster {
  readonly clock = new FakeClock(START);
  readonly pods: Pod[] = [];
  readonly targets = new Map<string, ScopeTarget>();
  readonly events: EventNote[] = [];
  attach: ScopeAttach | undefined;
  nodes = new Set(['n1']);
  statusWrites = 0;

  readonly tools: ReconcileTools = {
    view: {
      attach: () => this.attach,
      targetsOf: () => [...this.targets.values()],
      podsIn: () => this.pods,
      namespaces: () => [],
    },
    workloads: {of: () => Promise.resolve({belongs: undefined})},
    attaches: {ScopeAttach: this.attachClient(), ClusterScopeAttach: this.attachClient()},
    targets: {
      apply: (_place: unknown, wanted: DesiredTarget) => {
        this.putTarget(wanted);
        return Promise.resolve();
      },
      delete: ({name}: {name: string}) => {
        this.deleteTarget(name);
        return Promise.resolve();
      },
      patch: ({name}: {name: string}, {metadata}: {metadata: {finalizers: string[]}}) => {
        if (metadata.finalizers.length === 0) this.targets.delete(name);
        return Promise.resolve();
      },
    },
    events: {record: (note: EventNote) => Promise.resolve(this.events.push(note))},
    nodeExists: (name: string) => Promise.resolve(this.nodes.has(name)),
    clock: this.clock,
  } as unknown as ReconcileTools;

  readonly reconciler = new AttachReconciler(this.tools);

  create(spec: Partial<ScopeAttach['spec']> = {}): void {
    this.attach = {
      apiVersion: 'scopeattach.dev/v1alpha1',
      kind: 'ScopeAttach',
      metadata: {name: 'checkout', namespace: 'shop', uid: 'attach-1', generation: 1},
      spec: {target: {selector: {matchLabels: {app: 'checkout'}}}, capture: {http: {}}, ...spec},
    };
  }

  run(name: string, labels: Record<string, string> = {app: 'checkout'}): void {
    const containerStatuses = [{name: 'app', containerID: `containerd://${name}`, state: {running: {}}}];
    const metadata = {name, namespace: 'shop', uid: `uid-${name}`, labels};
    this.pods.push({metadata, spec: {nodeName: 'n1'}, status: {phase: 'Running', containerStatuses}});
  }

  remove(): void {
    if (this.attach !== undefined) this.attach.metadata.deletionTimestamp = rfc3339(this.clock.now());
  }

  /** As an agent would: says of the target of that pod what came of it. */
  report(
    podName: string,
    counts: {scoped?: number; failed?: number},
    ready: {status: 'True' | 'False'; reason: string},
  ): void {
    const target = this.targetOf(podName);
    const failed = Array.from({length: counts.failed ?? 0}, (_, index) => ({
      container: 'app',
      pid: index + 1,
      name: 'server',
      state: 'Failed' as const,
      reason: ready.reason,
      message: 'told why',
      since: rfc3339(this.clock.now()),
    }));
    target.status = {
      observedGeneration: 1,
      conditions: withConditions([], [{type: 'Ready', message: '', ...ready}], 1, this.clock.now()),
      counts: {pending: 0, scoped: 0, failed: 0, detached: 0, exited: 0, ...counts},
      processes: failed,
    };
  }

  acknowledge(podName: string): void {
    const detached = {type: 'Detached', status: 'True', reason: 'Detached', message: ''} as const;
    const status: ScopeTargetStatus = {conditions: withConditions([], [detached], 1, this.clock.now())};
    this.targetOf(podName).status = status;
  }

  targetOf(podName: string): ScopeTarget {
    const target = [...this.targets.values()].find(({spec}) => spec.podName === podName);
    if (target === undefined) throw new Error(`no target for ${podName}`);
    return target;
  }

  ready(): {status: string; reason: string} | undefined {
    return findCondition(this.attach?.status?.conditions, 'Ready');
  }

  private attachClient(): unknown {
    return {
      apply: (_place: unknown, {status}: {status: ScopeAttachStatus}) => {
        this.statusWrites += 1;
        if (this.attach !== undefined) this.attach = {...this.attach, status};
        return Promise.resolve();
      },
      patch: (_place: unknown, {metadata}: {metadata: {finalizers: string[]}}) => {
        const {attach} = this;
        if (attach === undefined) return Promise.resolve();
        attach.metadata.finalizers = metadata.finalizers;
        if (metadata.finalizers.length === 0 && attach.metadata.deletionTimestamp !== undefined)
          this.attach = undefined;
        return Promise.resolve();
      },
      delete: () => {
        this.remove();
        return Promise.resolve();
      },
    };
  }

  private putTarget({metadata, spec}: DesiredTarget): void {
    const {name, namespace, labels, finalizers} = metadata;
    this.targets.set(name, {
      apiVersion: 'scopeattach.dev/v1alpha1',
      kind: 'ScopeTarget',
      metadata: {
        name,
        namespace,
        labels: {...labels},
        finalizers: [...finalizers],
        generation: 1,
        creationTimestamp: rfc3339(this.clock.now()),
      },
      spec,
    });
  }

  private deleteTarget(name: string): void {
    const target = this.targets.get(name);
    if (target !== undefined) target.metadata.deletionTimestamp = rfc3339(this.clock.now());
  }
}

describe('AttachReconciler', () => {
  let cluster: FakeCluster;

  beforeEach(() => {
    cluster = new FakeCluster();
  });

  /** Until nothing more is to be done at once. */
  async function reconcile(): Promise<number | undefined> {
    for (let i = 0; i < 5; i += 1) {
      const again = await cluster.reconciler.reconcile(KEY);
      if (again === undefined || again.againAfterMs > 1_000) return again?.againAfterMs;
      await cluster.clock.advance(again.againAfterMs);
    }
    throw new Error('never settles');
  }

  it('puts its finalizer on, then makes one owned and labelled target per matching pod', async () => {
    cluster.create();
    cluster.run('a');
    cluster.run('b');
    cluster.run('c', {app: 'other'});
    await reconcile();
    expect(cluster.attach?.metadata.finalizers).toEqual([DETACH_FINALIZER]);
    expect([...cluster.targets.values()].map(({spec}) => spec.podName).sort()).toEqual(['a', 'b']);
    expect(cluster.targetOf('a').metadata.labels).toMatchObject({
      [ATTACH_KIND_LABEL]: 'ScopeAttach',
      [ATTACH_NAME_LABEL]: 'checkout',
    });
    expect(cluster.ready()).toMatchObject({status: 'False', reason: 'Attaching'});
    expect(cluster.attach?.status?.pods).toEqual({matched: 2, scoped: 0, pending: 2, failed: 0});
  });

  it('is ready when every pod is scoped, then writes nothing more', async () => {
    cluster.create();
    cluster.run('a');
    await reconcile();
    cluster.report('a', {scoped: 3}, {status: 'True', reason: 'Scoped'});
    await cluster.clock.advance(1_000);
    await reconcile();
    expect(cluster.ready()).toMatchObject({status: 'True', reason: 'Scoped'});
    expect(cluster.attach?.status?.processes).toEqual({scoped: 3, failed: 0});
    const {statusWrites} = cluster;
    await cluster.clock.advance(60_000);
    await reconcile();
    expect(cluster.statusWrites).toBe(statusWrites);
  });

  it('writes a status at most twice a second, and the last one in the end', async () => {
    cluster.create();
    cluster.run('a');
    await cluster.reconciler.reconcile(KEY);
    cluster.report('a', {scoped: 1}, {status: 'True', reason: 'Scoped'});
    const again = await cluster.reconciler.reconcile(KEY);
    expect(cluster.statusWrites).toBe(1);
    expect(again).toEqual({againAfterMs: 500});
    await cluster.clock.advance(500);
    await cluster.reconciler.reconcile(KEY);
    expect(cluster.ready()?.status).toBe('True');
  });

  it('tells what failed, how often, with an example, and that a person is needed', async () => {
    cluster.create();
    cluster.run('a');
    cluster.run('b');
    await reconcile();
    cluster.report('a', {scoped: 1}, {status: 'True', reason: 'Scoped'});
    cluster.report('b', {failed: 2}, {status: 'False', reason: 'NoHookableSites'});
    await cluster.clock.advance(1_000);
    await reconcile();
    expect(cluster.ready()).toMatchObject({status: 'False', reason: 'PartlyScoped'});
    expect(cluster.attach?.status?.failures).toEqual([
      {reason: 'NoHookableSites', count: 2, example: 'pod b, container app, process 1 (server): told why'},
    ]);
    expect(findCondition(cluster.attach?.status?.conditions, 'Stalled')).toMatchObject({
      status: 'True',
      reason: 'NoHookableSites',
    });
    expect(cluster.events.map(({reason}) => reason)).toEqual(['Attaching', 'PartlyScoped']);
  });

  it('says that no agent answers when none has for half a minute', async () => {
    cluster.create();
    cluster.run('a');
    await reconcile();
    expect(await reconcile()).toBe(30_000);
    await cluster.clock.advance(30_000);
    await reconcile();
    expect(cluster.ready()).toMatchObject({status: 'False', reason: 'AgentUnavailable'});
  });

  it('gives the target up whose pod no longer matches, once the agent has let go', async () => {
    cluster.create();
    cluster.run('a');
    await reconcile();
    cluster.pods.length = 0;
    await cluster.clock.advance(1_000);
    await reconcile();
    expect(cluster.targets.size).toBe(1);
    cluster.acknowledge('a');
    await reconcile();
    expect(cluster.targets.size).toBe(0);
  });

  it('holds a deletion until the agents have let go', async () => {
    cluster.create();
    cluster.run('a');
    await reconcile();
    cluster.remove();
    await cluster.clock.advance(1_000);
    await reconcile();
    expect(cluster.ready()).toMatchObject({reason: 'Detaching'});
    cluster.acknowledge('a');
    await reconcile();
    await reconcile();
    expect(cluster.attach).toBeUndefined();
  });

  it('holds a deletion for at most a minute, and says whose agent was silent', async () => {
    cluster.create();
    cluster.run('a');
    await reconcile();
    cluster.remove();
    await cluster.clock.advance(1_000);
    expect(await reconcile()).toBe(60_000);
    await cluster.clock.advance(60_000);
    await reconcile();
    await reconcile();
    expect(cluster.attach).toBeUndefined();
    expect(cluster.events.at(-1)).toMatchObject({type: 'Warning', reason: 'AgentUnavailable', action: 'Detach'});
  });

  it('does not wait for a node that is gone', async () => {
    cluster.create();
    cluster.run('a');
    await reconcile();
    cluster.nodes.clear();
    cluster.remove();
    await cluster.clock.advance(1_000);
    await reconcile();
    await reconcile();
    expect(cluster.attach).toBeUndefined();
    expect(cluster.events.map(({reason}) => reason)).toContain('NodeGone');
  });

  it('pauses while suspended and goes on afterwards', async () => {
    cluster.create({suspend: true});
    cluster.run('a');
    await reconcile();
    expect(cluster.targets.size).toBe(0);
    expect(cluster.ready()).toMatchObject({status: 'False', reason: 'Suspended'});
    if (cluster.attach !== undefined) cluster.attach.spec.suspend = false;
    await reconcile();
    expect(cluster.targets.size).toBe(1);
  });

  it('ends at the deadline, and vanishes when told to', async () => {
    cluster.create({activeDeadlineSeconds: 60, ttlSecondsAfterFinished: 30});
    cluster.run('a');
    await reconcile();
    expect(cluster.attach?.status?.expiresAt).toBe('2026-01-01T00:01:00Z');
    await cluster.clock.advance(60_000);
    await reconcile();
    cluster.acknowledge('a');
    await cluster.clock.advance(1_000);
    await reconcile();
    expect(cluster.ready()).toMatchObject({reason: 'DeadlineExceeded'});
    expect(cluster.attach?.status?.completionTime).toBe('2026-01-01T00:01:00Z');
    expect(cluster.targets.size).toBe(0);
    await cluster.clock.advance(30_000);
    await reconcile();
    await reconcile();
    expect(cluster.attach).toBeUndefined();
  });

  it('lets targets go whose object went without it', async () => {
    cluster.create();
    cluster.run('a');
    await reconcile();
    cluster.attach = undefined;
    await reconcile();
    cluster.acknowledge('a');
    await reconcile();
    expect(cluster.targets.size).toBe(0);
  });

  it('says when the named pod does not exist', async () => {
    cluster.create({target: {podName: 'nobody'}});
    await reconcile();
    expect(cluster.ready()).toMatchObject({status: 'False', reason: 'TargetNotFound'});
  });
});
