import {setTimeout as sleep} from 'node:timers/promises';

/** Of what must merely happen, on a machine that has other things to do. Where time is the claim, say how much. */
export const PATIENCE_MS = 30_000;

export interface UntilOptions {
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
}

/** Thrown by a probe: waiting on makes no sense. */
export class Hopeless extends Error {}

/**
 * Polls until `probe` gives something other than undefined or false, and resolves to that. Rejects after the time limit,
 * with what was waited for and why the last try failed; at once when the probe throws Hopeless.
 */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  {timeoutMs = PATIENCE_MS, intervalMs = 20}: UntilOptions = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let failure: unknown;
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
    } catch (thrown) {
      if (thrown instanceof Hopeless) throw thrown;
      failure = thrown;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms for ${what}`, failure === undefined ? undefined : {cause: failure});
    }
    await sleep(intervalMs);
  }
}
