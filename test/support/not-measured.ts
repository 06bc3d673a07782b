import {appendFileSync} from 'node:fs';

/** A file that scripts/test.mjs reads: one test's full name a line, of each that measured less than it should. */
const LIST = process.env.SCOPE_NOT_MEASURED;

/**
 * This machine can't show it: a suite that can't be reached, a toolchain or a kernel interface that is not there. Said
 * aloud with its reason, and a failure where CI is set: a check that is left out must never look like one that passed.
 */
export class NotMeasured extends Error {}

/** Runs `act`; undefined after having said why it could not be measured. */
export async function measuredOrSaid<T>(what: string, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (thrown) {
    if (!(thrown instanceof NotMeasured) || process.env.CI !== undefined) throw thrown;
    console.warn(`NOT MEASURED: ${what}: ${thrown.message}`);
    const name = typeof expect === 'undefined' ? undefined : expect.getState().currentTestName;
    if (LIST !== undefined && name !== undefined) appendFileSync(LIST, `${name}\n`);
    return undefined;
  }
}
