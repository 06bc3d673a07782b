import {isDeepStrictEqual} from 'node:util';
import type {CaptureSpec, ScopeTarget, ScopeTargetStatus} from '@scope/api';
import {isReason} from '@scope/api';
import type {AttachService, ProcessTable, SessionView} from '@scope/attach';
import {isFinal} from '@scope/attach';
import type {ProcSource} from '@scope/containers';
import type {Clock} from '@scope/core';
import {backoffMs, ScopeError} from '@scope/core';
import type {ResourceClient} from '@scope/kube';
import {isNotFound} from '@scope/kube';
import {attachRequest, ownerOf, wantsChildren} from './attach-request';
import type {ContainerProcess, PidsByContainer} from './container-process';
import {chosenProcesses, processesOf} from './container-process';
import type {FilterFacts} from './process-filter';
import {compileFilter} from './process-filter';
import {targetStatus} from './target-status';
import type {TrackedProcess} from './tracked-process';
import {identityOf, newlyTracked, notToldOf, withEnd, withFailure, withSession} from './tracked-process';

export interface TargetReconcilerParts {
  readonly attach: AttachService;
  readonly targets: ResourceClient<ScopeTarget>;
  /** The node's processes by container, as of now. */
  readonly scan: () => PidsByContainer;
  readonly processes: ProcessTable;
  readonly proc: ProcSource;
  readonly node: string;
  readonly clock: Clock;
}

/** Everything about a target that isn't in the cluster. Lost with the agent, and then found anew. */
interface TargetMemory {
  readonly tracked: Map<string, TrackedProcess>;
  /** What the sessions were asked to capture. */
  wish:
    | {
        readonly capture: CaptureSpec;
        readonly rateLimit: ScopeTarget['spec']['rateLimit'];
        readonly children: boolean;
      }
    | undefined;
  status: ScopeTargetStatus | undefined;
}

const OWNER = 'ScopeTarget/';
const FIELD_MANAGER = 'scope-agent';
const ATTACH_AT_ONCE = 4;
const RETRY = {baseMs: 1_000, maxMs: 60_000};
/** Ended processes that are remembered, so that a status tells of them. */
const MAX_ENDED = 32;

/**
 * Brings one ScopeTarget about: every chosen process of its containers has a session, no other has one in its name, and
 * the status says so. Called again at each change and about every second; does nothing when nothing changed.
 */
export class TargetReconciler {
  private readonly memory = new Map<string, TargetMemory>();

  constructor(private readonly parts: TargetReconcilerParts) {}

  /** `target` undefined: the object is gone. Rejects with KubeRequestError when the status can't be written. */
  async reconcile(key: string, target: ScopeTarget | undefined): Promise<void> {
    const memory = this.memory.get(key) ?? {
      tracked: new Map<string, TrackedProcess>(),
      wish: undefined,
      status: undefined,
    };
    this.memory.set(key, memory);
    if (target === undefined) {
      await this.detachAll(memory, `ScopeTarget/${key}`);
      this.memory.delete(key);
      return;
    }
    if (target.metadata.deletionTimestamp !== undefined) {
      const left = await this.detachAll(memory, ownerOf(target));
      await this.writeStatus(target, memory, {detached: left === 0});
      if (left > 0) throw new ScopeError('Timeout', `${left} processes of ${key} could not be detached yet.`);
      return;
    }
    const test = compiled(target);
    if (test instanceof ScopeError) {
      await this.writeStatus(target, memory, {refusal: test});
      return;
    }
    await this.renewWish(target, memory);
    this.look(target, memory, test);
    await this.attachDue(target, memory);
    await this.writeStatus(target, memory, {});
  }

  /** Takes a session's news; the key of the target it belongs to, when it is one of ours. */
  noteSession(view: SessionView): string | undefined {
    const identity = identityOf(view);
    for (const [key, {tracked}] of this.memory) {
      const known = tracked.get(identity);
      if (known === undefined || !view.owners.includes(`ScopeTarget/${key}`)) continue;
      tracked.set(identity, withSession(known, view, this.parts.clock.now()));
      return key;
    }
    return undefined;
  }

  /** Whether something is due that no event announces: new or ended processes, a failed one's next attempt. */
  isDue(key: string, target: ScopeTarget, pids: PidsByContainer): boolean {
    if (target.metadata.deletionTimestamp !== undefined) return false;
    const {tracked} = this.memory.get(key) ?? {tracked: new Map<string, TrackedProcess>()};
    const test = compiled(target);
    if (test instanceof ScopeError) return false;
    const chosen = this.choose(target, tracked, test, pids);
    const present = new Set(chosen.map(identityOf));
    const now = this.parts.clock.monotonicMs();
    return (
      chosen.some(process => !tracked.has(identityOf(process))) ||
      [...tracked].some(
        ([identity, {state, retryAt}]) =>
          (retryAt !== undefined && retryAt <= now) || (state !== 'Exited' && !present.has(identity)),
      )
    );
  }

  /** What is asked for changed: sessions end and begin anew, since a session's capture is fixed. */
  private async renewWish(target: ScopeTarget, memory: TargetMemory): Promise<void> {
    const {capture, rateLimit} = target.spec;
    const wish = {capture, rateLimit, children: wantsChildren(target)};
    if (memory.wish !== undefined && !isDeepStrictEqual(memory.wish, wish)) {
      await this.detachAll(memory, ownerOf(target));
      memory.tracked.clear();
    }
    memory.wish = wish;
  }

  private choose(
    target: ScopeTarget,
    tracked: ReadonlyMap<string, TrackedProcess>,
    test: (facts: FilterFacts) => boolean,
    pids: PidsByContainer,
  ): readonly ContainerProcess[] {
    const {processes, proc} = this.parts;
    const all = processesOf(target, pids, processes, proc);
    const live = [...tracked.values()].filter(({state}) => state !== 'Exited');
    const rooted = new Set(live.map(({process}) => process.pid));
    return chosenProcesses(all, test, wantsChildren(target), rooted);
  }

  private look(target: ScopeTarget, {tracked}: TargetMemory, test: (facts: FilterFacts) => boolean): void {
    const now = this.parts.clock.now();
    const chosen = new Map(
      this.choose(target, tracked, test, this.parts.scan()).map(process => [identityOf(process), process]),
    );
    for (const [identity, process] of chosen) {
      if (!tracked.has(identity)) tracked.set(identity, newlyTracked(process, now));
    }
    for (const [identity, known] of tracked) {
      if (chosen.has(identity) || known.state === 'Exited') continue;
      // Never scoped: nothing to tell of.
      if (known.state === 'Scoped') tracked.set(identity, withEnd(known, now));
      else tracked.delete(identity);
    }
    const ended = [...tracked].filter(([, {state}]) => state === 'Exited');
    for (const [identity] of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) tracked.delete(identity);
  }

  private async attachDue(target: ScopeTarget, memory: TargetMemory): Promise<void> {
    const now = this.parts.clock.monotonicMs();
    const due = [...memory.tracked].filter(
      ([, {state, sessionId, retryAt}]) =>
        (state === 'Pending' && sessionId === undefined) || (retryAt !== undefined && retryAt <= now),
    );
    const next = due.values();
    const worker = async (): Promise<void> => {
      for (const [identity, tracked] of next) {
        memory.tracked.set(identity, await this.attachOne(target, tracked));
      }
    };
    await Promise.all(Array.from({length: ATTACH_AT_ONCE}, worker));
  }

  private async attachOne(target: ScopeTarget, tracked: TrackedProcess): Promise<TrackedProcess> {
    const {attach, clock, node} = this.parts;
    const request = attachRequest(target, tracked.process, node);
    try {
      const before = this.sessionOf(target, tracked);
      // Taken back from an agent that was there before; what is asked for may be another thing since.
      const isOutdated = before?.owners.length === 1 && !isDeepStrictEqual(before.capture, request.capture);
      if (before !== undefined && isOutdated) await attach.detach(before.id, request.owner);
      const view = await attach.attach(request);
      return withSession(tracked, view, clock.now());
    } catch (thrown) {
      const error = ScopeError.of(thrown, `Attaching to process ${tracked.process.pid}`);
      // Ours from before, when the same wish was tried again meanwhile.
      const own = error.reason === 'AlreadyScoped' ? this.sessionOf(target, tracked) : undefined;
      if (own !== undefined) return withSession(tracked, own, clock.now());
      if (error.disposition === 'ignore' && error.reason !== 'AlreadyScoped') return withEnd(tracked, clock.now());
      const again = error.disposition !== 'stall';
      const retryAt = again ? clock.monotonicMs() + 500 + backoffMs(tracked.failures, RETRY) : undefined;
      return withFailure(tracked, error, clock.now(), retryAt);
    }
  }

  private sessionOf(target: ScopeTarget, {process}: TrackedProcess): SessionView | undefined {
    const owner = ownerOf(target);
    return this.parts.attach
      .sessions()
      .find(view => identityOf(view) === identityOf(process) && view.owners.includes(owner) && !isFinal(view.state));
  }

  /** Withdraws the owner's claim everywhere; how many could not be let go of. */
  private async detachAll(memory: TargetMemory, owner: string): Promise<number> {
    const {attach, clock} = this.parts;
    const claimed = attach.sessions().filter(view => view.owners.includes(owner) && !isFinal(view.state));
    const results = await Promise.all(
      claimed.map(async view => {
        try {
          return await attach.detach(view.id, owner);
        } catch (thrown) {
          const {disposition} = ScopeError.of(thrown);
          return disposition === 'ignore' ? view : undefined;
        }
      }),
    );
    const now = clock.now();
    for (const view of results) {
      const known = view === undefined ? undefined : memory.tracked.get(identityOf(view));
      if (view === undefined || known === undefined) continue;
      const {retryAt: _retryAt, ...kept} = known;
      const [events, lost] = [view.counts.delivered, notToldOf(view.counts)];
      memory.tracked.set(identityOf(view), {...kept, state: 'Detached', since: now, events, lost});
    }
    return results.filter(view => view === undefined).length;
  }

  private async writeStatus(
    target: ScopeTarget,
    memory: TargetMemory,
    facts: {readonly detached?: boolean; readonly refusal?: ScopeError},
  ): Promise<void> {
    const before = memory.status ?? target.status;
    const {detached = false, refusal} = facts;
    const status = targetStatus(
      {
        generation: target.metadata.generation,
        tracked: [...memory.tracked.values()],
        detached,
        ...(refusal !== undefined &&
          isReason(refusal.reason) && {refusal: {reason: refusal.reason, message: refusal.text}}),
      },
      before,
      this.parts.clock.now(),
    );
    if (isDeepStrictEqual(status, memory.status)) return;
    try {
      await this.parts.targets.apply(target.metadata, {status}, {fieldManager: FIELD_MANAGER, subresource: 'status'});
      memory.status = status;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}

/** Of the targets in whose name any of these sessions is. */
export function claimedKeys(sessions: readonly SessionView[]): ReadonlySet<string> {
  const owners = sessions.filter(({state}) => !isFinal(state)).flatMap(session => session.owners);
  return new Set(owners.filter(owner => owner.startsWith(OWNER)).map(owner => owner.slice(OWNER.length)));
}

/** A test for the target's processes, or why there can be none. */
function compiled(target: ScopeTarget): ((facts: FilterFacts) => boolean) | ScopeError {
  try {
    return compileFilter(target.spec.processes);
  } catch (thrown) {
    return ScopeError.of(thrown);
  }
}
