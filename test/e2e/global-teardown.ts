import {end} from './support/environment';

/**
 * SCOPE_E2E_KEEP leaves the cluster up to look around, SCOPE_E2E_REUSE uses one that was left up, as it is;
 * `npm run cluster -- down` ends it.
 */
// eslint-disable-next-line no-restricted-syntax -- Jest calls the default export
export default async function globalTeardown(): Promise<void> {
  const {SCOPE_E2E_KEEP: keep, SCOPE_E2E_REUSE: reuse} = process.env;
  if (keep === undefined && reuse === undefined) await end();
}
