import {SKIP_VARIABLE} from '../global-setup';

/** A describe that is skipped where no cluster can run; the global setup has said so loudly, or failed on CI. */
export function whenCluster(what: string, specs: () => void): void {
  (process.env[SKIP_VARIABLE] === undefined ? describe : describe.skip)(what, specs);
}
