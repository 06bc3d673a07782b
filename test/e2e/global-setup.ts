import {missingRequirement} from '../cluster/requirements';
import {begin, end} from './support/environment';

/** Set when no cluster can run here: the specs say so loudly and are skipped; on CI that is a failure. */
export const SKIP_VARIABLE = 'SCOPE_E2E_SKIPPED';

// eslint-disable-next-line no-restricted-syntax -- Jest calls the default export
export default async function globalSetup(): Promise<void> {
  const missing = missingRequirement();
  if (missing !== undefined) {
    if (process.env.CI !== undefined) throw new Error(missing);
    process.stderr.write(`\n!!! e2e is skipped: ${missing}\n\n`);
    process.env[SKIP_VARIABLE] = missing;
    return;
  }
  if (process.env.SCOPE_E2E_REUSE !== undefined) return;
  try {
    await begin();
  } catch (error) {
    // Without this, what was begun would stay: Jest ends nothing that did not come up.
    if (process.env.SCOPE_E2E_KEEP === undefined) await end();
    throw error;
  }
}
