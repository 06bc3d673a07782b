/** Time, injected so that what depends on it can be tested without sleeping. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Monotonic, milliseconds from an arbitrary start. */
  monotonicMs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `tick` every `ms` until the answer is called. Does not keep the process alive. */
  every(ms: number, tick: () => void): () => void;
}
