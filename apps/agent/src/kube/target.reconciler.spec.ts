import type {ScopeTarget, ScopeTargetStatus} from '@scope/api';
import type {AttachRequest, ProcessFacts, ProcessTable, SessionView} from '@scope/attach';
import {AttachService, fakeProcess, FakeProcessTable, isFinal} from '@scope/attach';
import type {ProcSource} from '@scope/containers';
import {FakeClock, ScopeError} from '@scope/core';
import type {ResourceClient} from '@scope/kube';
import {Subject} from 'rxjs';
import {TargetReconciler} from './target.reconciler';

const APP = 'a'.repeat(64);

/** Grants every wish but those for which a refusal is laid in; no injector, no process. */
class FakeAttachService extends AttachService {
  readonly changes$ = new Subject<SessionView>();
  readonly refusals = new Map<number, ScopeError>();
  readonly requests: AttachRequest[] = [];
  private readonly views = new Map<string, SessionView>();

  constructor(private readonly table: ProcessTable) {
    super();
  }

  attach(request: AttachRequest): Promise<SessionView> {
    this.requests.push(request);
    const refusal = this.refusals.get(request.pid);
    if (refusal !== undefined) return Promise.reject(refusal);
    return Promise.resolve(this.put(request, 'Scoped'));
  }

  detach(id: string): Promise<SessionView> {
    const view = this.views.get(id);
    if (view === undefined) return Promise.reject(new ScopeError('NoSuchSession', `no ${id}`));
    const ended: SessionView = {...view, state: 'Detached'};
    this.views.set(id, ended);
    return Promise.resolve(ended);
  }

  sessions(): readonly SessionView[] {
    return [...this.views.values()];
  }

  session(id: string): SessionView | undefined {
    return this.views.get(id);
  }

  live(): readonly number[] {
    return this.sessions()
      .filter(({state}) => !isFinal(state))
      .map(({pid}) => pid);
  }

  private put({pid, owner, capture}: AttachRequest, state: SessionView['state']): SessionView {
    const view: SessionView = {
      id: `session-${this.requests.length}`,
      pid,
      startTime: this.table.startTime(pid) ?? '',
      state,
      problems: [],
      owners: [owner],
      process: {pid, name: 'server', executable: '/usr/bin/server'},
      capture,
      createdAt: '1970-01-01T00:00:00Z',
      counts: {delivered: 7, filtered: 0, rateLimited: 0, lost: 2, dropped: {}},
    };
    this.views.set(view.id, view);
    return view;
  }
}

const target = (change: Partial<ScopeTarget['spec']> = {}, generation = 1): ScopeTarget => ({
  apiVersion: 'scopeattach.dev/v1alpha1',
  kind: 'ScopeTarget',
  metadata: {name: 'web-1-abc', namespace: 'shop', uid: 'target-1', generation},
  spec: {
    nodeName: 'n1',
    podName: 'web-1',
    podUID: 'pod-1',
    containers: [{name: 'app', id: `containerd://${APP}`, image: 'web:1'}],
    capture: {http: {headers: ['X-Request-Id']}},
    workload: {kind: 'Deployment', name: 'web'},
    ...change,
  },
});
const KEY = 'shop/web-1-abc';

describe('TargetReconciler', () => {
  let table: FakeProcessTable;
  let attach: FakeAttachService;
  let clock: FakeClock;
  let pids: number[];
  let written: ScopeTargetStatus[];
  let reconciler: TargetReconciler;

  beforeEach(() => {
    table = new FakeProcessTable();
    attach = new FakeAttachService(table);
    clock = new FakeClock(1_000_000);
    pids = [];
    written = [];
    const targets = {
      apply: (_place: unknown, {status}: {status: ScopeTargetStatus}) => {
        written.push(status);
        return Promise.resolve();
      },
    };
    const proc: ProcSource = {
      pids: () => pids,
      read: pid => `NSpid:\t${pid}\t${pid - 100}\n`,
      executable: () => undefined,
    };
    reconciler = new TargetReconciler({
      attach,
      targets: targets as unknown as ResourceClient<ScopeTarget>,
      scan: () => new Map([[APP, pids]]),
      processes: table,
      proc,
      node: 'n1',
      clock,
    });
  });

  function run(facts: Partial<ProcessFacts> & {pid: number}): void {
    table.set(fakeProcess(facts));
    pids = [...pids, facts.pid];
  }

  function end(pid: number): void {
    table.remove(pid);
    pids = pids.filter(other => other !== pid);
  }

  const condition = (type: string): unknown => written.at(-1)?.conditions?.find(one => one.type === type);
  const states = (): unknown => written.at(-1)?.processes?.map(({pid, state, reason}) => ({pid, state, reason}));
  const due = (of = target()): boolean => reconciler.isDue(KEY, of, new Map([[APP, pids]]));

  it('attaches to each process, inside its container, and says whose it is', async () => {
    run({pid: 101});
    run({pid: 102, name: 'worker'});
    await reconciler.reconcile(KEY, target());
    expect(attach.requests[0]).toMatchObject({
      pid: 101,
      startTime: '1000',
      enter: true,
      owner: `ScopeTarget/${KEY}`,
      capture: {http: {headers: ['x-request-id']}},
      identity: {
        container: 'app',
        containerId: APP,
        pod: 'web-1',
        namespace: 'shop',
        node: 'n1',
        workload: 'web',
        workloadKind: 'deployment',
      },
    });
    expect(states()).toEqual([
      {pid: 1, state: 'Scoped', reason: undefined},
      {pid: 2, state: 'Scoped', reason: undefined},
    ]);
    expect(condition('Ready')).toMatchObject({status: 'True', reason: 'Scoped', observedGeneration: 1});
    expect(condition('Detached')).toMatchObject({status: 'False'});
  });

  it('writes nothing when nothing changed', async () => {
    run({pid: 101});
    await reconciler.reconcile(KEY, target());
    await clock.advance(5_000);
    await reconciler.reconcile(KEY, target());
    expect(written).toHaveLength(1);
    expect(due()).toBe(false);
  });

  it('attaches to processes that come later, and tells of those that ended', async () => {
    run({pid: 101});
    await reconciler.reconcile(KEY, target());
    run({pid: 102});
    end(101);
    expect(due()).toBe(true);
    await reconciler.reconcile(KEY, target());
    expect(attach.live()).toContain(102);
    expect(written.at(-1)?.counts).toEqual({pending: 0, scoped: 1, failed: 0, detached: 0, exited: 1});
  });

  it('leaves processes alone that do not pass, also the children of those that do', async () => {
    run({pid: 101});
    run({pid: 102, parentPid: 101, name: 'helper', executable: '/bin/helper'});
    await reconciler.reconcile(KEY, target({processes: {names: ['server']}}));
    expect(attach.live()).toEqual([101]);
    expect(attach.requests.map(({children}) => children)).toEqual([undefined]);
  });

  it('takes the children of those that pass where it is asked to', async () => {
    run({pid: 101, name: 'sh', executable: '/bin/sh'});
    run({pid: 102, parentPid: 101});
    run({pid: 103, parentPid: 102, name: 'helper', executable: '/bin/helper'});
    await reconciler.reconcile(KEY, target({processes: {names: ['server'], children: true}}));
    expect(attach.live()).toEqual([102, 103]);
    expect(attach.requests.map(({children}) => children)).toEqual([true, true]);
  });

  it('says why one failed, tries again what may pass, not what never will', async () => {
    run({pid: 101});
    run({pid: 102});
    attach.refusals.set(101, new ScopeError('AlreadyTraced', 'Process 101 is held by gdb.'));
    attach.refusals.set(102, new ScopeError('NoHookableSites', 'No site in process 102.'));
    await reconciler.reconcile(KEY, target());
    expect(written.at(-1)?.processes?.map(({reason}) => reason)).toEqual(['AlreadyTraced', 'NoHookableSites']);
    expect(condition('Ready')).toMatchObject({status: 'False', reason: 'AlreadyTraced'});
    expect(due()).toBe(false);
    attach.refusals.clear();
    await clock.advance(60_000);
    expect(due()).toBe(true);
    await reconciler.reconcile(KEY, target());
    expect(attach.live()).toEqual([101]);
    expect(written.at(-1)?.counts).toMatchObject({scoped: 1, failed: 1});
  });

  it('says what of one that is scoped is not seen', async () => {
    run({pid: 101});
    await reconciler.reconcile(KEY, target());
    expect(written.at(-1)?.processes?.map(({reason}) => reason)).toEqual([undefined]);
    const [view] = attach.sessions();
    if (view === undefined) throw new Error('no session');
    const problems = [new ScopeError('PartlySeen', 'Process 101 uses io_uring.').toView()];
    expect(reconciler.noteSession({...view, problems})).toBe(KEY);
    await reconciler.reconcile(KEY, target());
    expect(written.at(-1)?.processes).toMatchObject([{state: 'Scoped', reason: 'PartlySeen'}]);
    const message = expect.stringContaining('1 of them in part: Process 101 uses io_uring.') as string;
    expect(condition('Ready')).toMatchObject({status: 'True', reason: 'Scoped', message});
  });

  it('detaches when deletion is asked for, and says so', async () => {
    run({pid: 101});
    await reconciler.reconcile(KEY, target());
    const deleted = target();
    deleted.metadata.deletionTimestamp = '1970-01-01T00:20:00Z';
    await reconciler.reconcile(KEY, deleted);
    expect(attach.live()).toEqual([]);
    expect(condition('Detached')).toMatchObject({status: 'True'});
    expect(written.at(-1)?.processes).toEqual([expect.objectContaining({state: 'Detached', events: 7, lost: 2})]);
  });

  it('acknowledges the deletion of a target it never saw', async () => {
    const deleted = target();
    deleted.metadata.deletionTimestamp = '1970-01-01T00:20:00Z';
    await reconciler.reconcile(KEY, deleted);
    expect(condition('Detached')).toMatchObject({status: 'True'});
  });

  it('detaches when the object is gone without a word', async () => {
    run({pid: 101});
    await reconciler.reconcile(KEY, target());
    await reconciler.reconcile(KEY, undefined);
    expect(attach.live()).toEqual([]);
  });

  it('begins anew when something else is to be captured', async () => {
    run({pid: 101});
    await reconciler.reconcile(KEY, target());
    await reconciler.reconcile(KEY, target({capture: {net: {}}}, 2));
    expect(attach.requests.map(({capture}) => capture)).toEqual([{http: {headers: ['x-request-id']}}, {net: {}}]);
    expect(attach.live()).toEqual([101]);
    expect(condition('Ready')).toMatchObject({status: 'True', observedGeneration: 2});
  });

  it('takes a session’s end from outside as a reason to attach again', async () => {
    run({pid: 101});
    await reconciler.reconcile(KEY, target());
    const [session] = attach.sessions();
    const view = await attach.detach(session?.id ?? '');
    expect(reconciler.noteSession(view)).toBe(KEY);
    expect(due()).toBe(true);
    await reconciler.reconcile(KEY, target());
    expect(attach.live()).toEqual([101]);
  });

  it('says when no process passes, and when the filter can not be used', async () => {
    await reconciler.reconcile(KEY, target());
    expect(condition('Ready')).toMatchObject({status: 'False', reason: 'NoMatchingProcesses'});
    await reconciler.reconcile(KEY, target({processes: {commandLine: '(?=x)'}}));
    expect(condition('Ready')).toMatchObject({status: 'False', reason: 'InvalidArgument'});
  });
});
