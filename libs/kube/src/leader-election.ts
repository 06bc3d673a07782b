import type {Clock} from '@scope/core';
import type {KubeObject} from './kube-object';
import {isConflict} from './kube-request-error';
import type {ResourceClient} from './resource-client';

/** coordination.k8s.io/v1. */
export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface LeaderElectionOptions {
  readonly namespace: string;
  readonly name: string;
  /** Ours, unlike any other's: the pod's name. */
  readonly identity: string;
  readonly clock: Clock;
  /** How long a silent leader is still one. Default 15 s. */
  readonly leaseSeconds?: number;
  /** A leader that could not renew for so long stops leading, before another may begin. Default 10 s. */
  readonly renewDeadlineMs?: number;
  /** Pause between tries. Default 2 s. */
  readonly retryMs?: number;
  readonly onError?: (error: unknown) => void;
}

/**
 * Holds a Lease so that one of several copies works. As client-go does it, no clock but ours is trusted: a holder is
 * gone when its Lease has not changed for leaseSeconds by our own watch.
 */
export class LeaderElection {
  private observed: {readonly version: string | undefined; readonly at: number} | undefined;
  /** The Lease as we wrote it last, while it is ours. */
  private held: Lease | undefined;

  constructor(
    private readonly leases: ResourceClient<Lease>,
    private readonly options: LeaderElectionOptions,
  ) {}

  /**
   * Waits until we lead, runs `lead`, and returns when leading ends: `lead`'s signal aborts when the Lease is lost or
   * `signal` aborts. Gives the Lease up on the way out, so that the next one needn't wait.
   */
  async run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const {clock} = this.options;
    const retryMs = this.options.retryMs ?? 2_000;
    while (!(await this.tryHold())) {
      await clock.sleep(retryMs, signal).catch(() => undefined);
      if (signal.aborted) return;
    }
    const term = new AbortController();
    const leading = lead(AbortSignal.any([signal, term.signal])).finally(() => {
      term.abort();
    });
    await this.renewUntilLost(AbortSignal.any([signal, term.signal]));
    term.abort(new Error('the lease was lost'));
    await leading.finally(() => this.release());
  }

  private async renewUntilLost(signal: AbortSignal): Promise<void> {
    const {clock} = this.options;
    const deadlineMs = this.options.renewDeadlineMs ?? 10_000;
    let renewed = clock.monotonicMs();
    while (!signal.aborted) {
      await clock.sleep(this.options.retryMs ?? 2_000, signal).catch(() => undefined);
      if (isAborted(signal)) return;
      if (await this.tryHold()) renewed = clock.monotonicMs();
      else if (clock.monotonicMs() - renewed >= deadlineMs) return;
    }
  }

  /** True when the Lease is ours now. Errors count as not ours. */
  private async tryHold(): Promise<boolean> {
    try {
      return await this.hold();
    } catch (error) {
      if (!isConflict(error)) this.options.onError?.(error);
      return false;
    }
  }

  private async hold(): Promise<boolean> {
    const {namespace, name, identity, clock} = this.options;
    const now = microTime(clock.now());
    // Renewed as it was written last, without a look at it: should somebody else have written it, that is a conflict.
    const renewed = this.held && {...this.held, spec: {...this.held.spec, renewTime: now}};
    this.held = undefined;
    if (renewed !== undefined) {
      this.held = await this.leases.replace(renewed);
      return true;
    }
    const lease = await this.leases.get({namespace, name});
    const leaseDurationSeconds = this.options.leaseSeconds ?? 15;
    if (lease === undefined) {
      this.held = await this.leases.create(namespace, {
        metadata: {name, namespace},
        spec: {holderIdentity: identity, leaseDurationSeconds, acquireTime: now, renewTime: now, leaseTransitions: 0},
      });
      return true;
    }
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder !== identity && holder !== '' && !this.isSilent(lease)) return false;
    const taken = holder !== identity;
    this.held = await this.leases.replace({
      ...lease,
      spec: {
        ...lease.spec,
        holderIdentity: identity,
        leaseDurationSeconds,
        renewTime: now,
        ...(taken && {acquireTime: now, leaseTransitions: (lease.spec?.leaseTransitions ?? 0) + 1}),
      },
    });
    return true;
  }

  private isSilent(lease: Lease): boolean {
    const now = this.options.clock.monotonicMs();
    const version = lease.metadata.resourceVersion;
    if (this.observed?.version !== version) this.observed = {version, at: now};
    return now - (this.observed?.at ?? now) >= (lease.spec?.leaseDurationSeconds ?? 15) * 1000;
  }

  private async release(): Promise<void> {
    const {namespace, name, identity} = this.options;
    try {
      const lease = await this.leases.get({namespace, name});
      if (lease?.spec?.holderIdentity !== identity) return;
      await this.leases.replace({...lease, spec: {...lease.spec, holderIdentity: '', leaseDurationSeconds: 1}});
    } catch (error) {
      this.options.onError?.(error);
    }
  }
}

/** metav1.MicroTime. */
export function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}

function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
