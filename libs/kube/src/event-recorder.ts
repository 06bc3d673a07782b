import {createHash} from 'node:crypto';
import type {Clock} from '@scope/core';
import type {KubeObject} from './kube-object';
import {isNotFound} from './kube-request-error';
import {microTime} from './leader-election';
import type {ResourceClient} from './resource-client';

/** events.k8s.io/v1. */
export interface KubeEvent extends KubeObject {
  readonly eventTime: string;
  readonly series?: {readonly count: number; readonly lastObservedTime: string};
}

export interface EventNote {
  /** What it is about. */
  readonly regarding: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** PascalCase, of a closed list. */
  readonly reason: string;
  /** What was being done: Attach, Detach… */
  readonly action: string;
  /** A sentence; cut at 1 KiB. */
  readonly note: string;
}

export interface EventRecorderOptions {
  /** `scopeattach.dev/controller`. */
  readonly controller: string;
  /** The pod's name. */
  readonly instance: string;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

const MAX_NOTE_BYTES = 1024;
const MAX_REMEMBERED = 1000;

/**
 * Writes Events beside status: history for people. The same thing said again becomes one more in a series on the same
 * object, not a new object. Never fails its caller.
 */
export class EventRecorder {
  /** How often each event has been said, by its name. The oldest is forgotten first. */
  private readonly counts = new Map<string, number>();
  /** Part of the names: what an earlier life of this program said is not counted on. */
  private readonly startedAt: number;

  constructor(
    private readonly events: ResourceClient<KubeEvent>,
    private readonly options: EventRecorderOptions,
  ) {
    this.startedAt = options.clock.now();
  }

  async record(note: EventNote): Promise<void> {
    try {
      await this.write(note);
    } catch (error) {
      this.options.onError(error);
    }
  }

  private async write(event: EventNote): Promise<void> {
    const {regarding} = event;
    // Events of cluster-scoped objects live in `default`.
    const namespace = regarding.metadata.namespace ?? 'default';
    const name = eventName(event, this.startedAt);
    const count = (this.counts.get(name) ?? 0) + 1;
    this.remember(name, count);
    const now = microTime(this.options.clock.now());
    if (count > 1) {
      try {
        await this.events.patch({namespace, name}, {series: {count, lastObservedTime: now}});
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error; // Events live an hour; a later one starts anew.
      }
    }
    await this.events.create(namespace, {
      metadata: {name, namespace},
      eventTime: now,
      reportingController: this.options.controller,
      reportingInstance: this.options.instance,
      type: event.type,
      reason: event.reason,
      action: event.action,
      note: cutToBytes(event.note, MAX_NOTE_BYTES),
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        name: regarding.metadata.name,
        ...(regarding.metadata.namespace !== undefined && {namespace: regarding.metadata.namespace}),
        uid: regarding.metadata.uid,
      },
    });
  }

  private remember(name: string, count: number): void {
    this.counts.delete(name);
    this.counts.set(name, count);
    const [oldest] = this.counts.keys();
    if (this.counts.size > MAX_REMEMBERED && oldest !== undefined) this.counts.delete(oldest);
  }
}

/** The same for the same thing said about the same object. */
function eventName({regarding, reason, action, note}: EventNote, startedAt: number): string {
  const hash = createHash('sha256')
    .update([regarding.metadata.uid ?? '', reason, action, note, startedAt].join('\0'))
    .digest('hex');
  return `${regarding.metadata.name.slice(0, 200)}.${hash.slice(0, 16)}`;
}

function cutToBytes(text: string, bytes: number): string {
  const whole = Buffer.from(text);
  return whole.length <= bytes
    ? text
    : whole
        .subarray(0, bytes - 3)
        .toString()
        .replace(/\uFFFD+$/, '') + '…';
}
