import type {BackoffOptions, Clock} from '@scope/core';
import {backoffMs} from '@scope/core';

export interface WorkqueueOptions {
  readonly clock: Clock;
  /** At most as many keys at once. */
  readonly concurrency: number;
  readonly backoff: BackoffOptions;
  readonly random?: () => number;
  /** Told of each failure; the key is tried again after the pause. */
  readonly onFailure: (key: string, error: unknown, retryMs: number) => void;
}

/** What the work on a key asks for: undefined when done, else to be called again after so many milliseconds. */
export type Work = (key: string, signal: AbortSignal) => Promise<{readonly againAfterMs: number} | undefined>;

/**
 * Keys with work to do. A key is worked on by one at a time; added meanwhile, it comes once more afterwards.
 * Failures of a key wait longer each time (full jitter); other keys don't wait for it.
 */
export class Workqueue {
  private readonly ready = new Set<string>();
  private readonly running = new Set<string>();
  private readonly failures = new Map<string, number>();
  /** Moment (monotonic) of the earliest planned call of a key. */
  private readonly planned = new Map<string, number>();
  private signal: AbortSignal | undefined;

  constructor(
    private readonly work: Work,
    private readonly options: WorkqueueOptions,
  ) {}

  get depth(): number {
    return this.ready.size;
  }

  /** Starts working; before, keys only gather. Ends when the signal aborts. */
  start(signal: AbortSignal): void {
    this.signal = signal;
    this.pump();
  }

  add(key: string): void {
    this.ready.add(key);
    this.pump();
  }

  /** An earlier plan for the same key stands; a later one is replaced. */
  addAfter(key: string, ms: number): void {
    const {clock} = this.options;
    const at = clock.monotonicMs() + ms;
    const earlier = this.planned.get(key);
    if (earlier !== undefined && earlier <= at) return;
    this.planned.set(key, at);
    void clock.sleep(ms, this.signal).then(
      () => {
        if (this.planned.get(key) !== at) return;
        this.planned.delete(key);
        this.add(key);
      },
      () => undefined,
    );
  }

  private pump(): void {
    const {signal} = this;
    if (signal === undefined || signal.aborted) return;
    for (const key of this.ready) {
      if (this.running.size >= this.options.concurrency) return;
      if (this.running.has(key)) continue;
      this.ready.delete(key);
      this.running.add(key);
      void this.runOne(key, signal);
    }
  }

  private async runOne(key: string, signal: AbortSignal): Promise<void> {
    try {
      const again = await this.work(key, signal);
      this.failures.delete(key);
      if (again !== undefined) this.addAfter(key, again.againAfterMs);
    } catch (error) {
      if (signal.aborted) return;
      const count = this.failures.get(key) ?? 0;
      this.failures.set(key, count + 1);
      const retryMs = backoffMs(count, this.options.backoff, this.options.random);
      this.options.onFailure(key, error, retryMs);
      this.addAfter(key, retryMs);
    } finally {
      this.running.delete(key);
      this.pump();
    }
  }
}
