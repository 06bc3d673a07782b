/** Full-jitter exponential backoff (AWS Architecture Blog, "Exponential Backoff And Jitter"). */
export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * The pause before attempt `attempt` (0 is the first retry): uniformly between 0 and min(maxMs, baseMs · 2^attempt).
 * `random` gives numbers in [0, 1).
 */
export function backoffMs(
  attempt: number,
  {baseMs, maxMs}: BackoffOptions,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling * random());
}
