/**
 * A token bucket that holds one second's worth. `nowMs` is monotonic.
 *
 *   rate tokens/s ──▶ [bucket ≤ rate] ──▶ one per event
 */
export class RateLimiter {
  private tokens: number;
  private lastMs: number;

  constructor(
    private readonly eventsPerSecond: number,
    nowMs: number,
  ) {
    this.tokens = eventsPerSecond;
    this.lastMs = nowMs;
  }

  /** How many of `wanted` events may pass now. */
  take(wanted: number, nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - this.lastMs);
    this.lastMs = nowMs;
    this.tokens = Math.min(this.eventsPerSecond, this.tokens + (elapsedMs * this.eventsPerSecond) / 1000);
    const granted = Math.min(wanted, Math.floor(this.tokens));
    this.tokens -= granted;
    return granted;
  }
}
