import {isDeepStrictEqual} from 'node:util';
import type {ScopeAttachStatus} from '@scope/api';
import {isReason} from '@scope/api';
import {findCondition, isNotFound, rfc3339} from '@scope/kube';
import type {AttachKey} from '../attach-key';
import {parseKey} from '../attach-key';
import {finalizerStep} from './finalizer.step';
import {lifetimeStep} from './lifetime.step';
import {membershipStep} from './membership.step';
import type {ReconcileContext, ReconcileTools, Step} from './reconcile-context';
import {lookAgainAfter} from './reconcile-context';
import {releaseStep, releaseTarget} from './release.step';
import {summarize} from './summarize';
import {FIELD_MANAGER, targetsStep} from './targets.step';

/** In this order; the first that says stop is the last. */
const STEPS: readonly Step[] = [finalizerStep, lifetimeStep, membershipStep, targetsStep, releaseStep];

/** Many targets change at once: a status is written at most so often. */
const STATUS_EVERY_MS = 500;

/**
 * Brings one ScopeAttach or ClusterScopeAttach about. Level-triggered: only the key goes in, everything else is read
 * from the view, so it does not matter what happened or how often this is called.
 */
export class AttachReconciler {
  /** Moment (monotonic) of the last status written, by key. */
  private readonly written = new Map<string, number>();

  constructor(private readonly tools: ReconcileTools) {}

  /** Rejects with KubeRequestError; then nothing is lost by calling again. */
  async reconcile(text: string): Promise<{readonly againAfterMs: number} | undefined> {
    const key = parseKey(text);
    if (key === undefined) return undefined;
    const attach = this.tools.view.attach(key);
    if (attach === undefined) {
      this.written.delete(text);
      return this.releaseOrphans(key);
    }
    const now = this.tools.clock.now();
    const {startTime, completionTime} = attach.status ?? {};
    const context: ReconcileContext = {
      key,
      attach,
      now,
      targets: this.tools.view.targetsOf(key),
      desired: [],
      startTime: startTime ?? rfc3339(now),
      ...(completionTime !== undefined && {completionTime}),
    };
    let stopped = false;
    try {
      for (const step of STEPS) {
        stopped = (await step(context, this.tools)) === 'stop';
        if (stopped) break;
      }
    } finally {
      if (!stopped) await this.writeStatus(text, context);
    }
    return context.againAfterMs === undefined ? undefined : {againAfterMs: context.againAfterMs};
  }

  /** Targets whose object went without us (someone took our finalizer off): they go too. */
  private async releaseOrphans(key: AttachKey): Promise<{readonly againAfterMs: number} | undefined> {
    const waits: number[] = [];
    for (const target of this.tools.view.targetsOf(key)) {
      if (target.metadata.deletionTimestamp === undefined) {
        await this.tools.targets.delete(target.metadata, target.metadata.uid);
      }
      const wait = await releaseTarget(target, target, this.tools.clock.now(), this.tools);
      if (wait !== undefined) waits.push(wait);
    }
    return waits.length === 0 ? undefined : {againAfterMs: Math.min(...waits)};
  }

  private async writeStatus(text: string, context: ReconcileContext): Promise<void> {
    const {attach} = context;
    const status = summarize(context);
    if (isDeepStrictEqual(attach.status, status)) return;
    const {clock} = this.tools;
    const sinceMs = clock.monotonicMs() - (this.written.get(text) ?? -Infinity);
    if (sinceMs < STATUS_EVERY_MS) {
      lookAgainAfter(context, STATUS_EVERY_MS - sinceMs);
      return;
    }
    this.written.set(text, clock.monotonicMs());
    try {
      await this.tools.attaches[attach.kind].apply(
        attach.metadata,
        {status},
        {fieldManager: FIELD_MANAGER, subresource: 'status'},
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    await this.tellChange(context, status);
  }

  /** An Event when the reason why it is or is not ready changes: history for people. */
  private async tellChange({attach}: ReconcileContext, status: ScopeAttachStatus): Promise<void> {
    const before = findCondition(attach.status?.conditions, 'Ready');
    const after = findCondition(status.conditions, 'Ready');
    if (after === undefined || before?.reason === after.reason) return;
    await this.tools.events.record({
      regarding: attach,
      type: isReason(after.reason) || after.reason === 'PartlyScoped' ? 'Warning' : 'Normal',
      reason: after.reason,
      action: after.reason === 'Detaching' ? 'Detach' : 'Attach',
      note: after.message,
    });
  }
}
