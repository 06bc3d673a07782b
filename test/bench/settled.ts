import {setTimeout as sleep} from 'node:timers/promises';
import type {Scope} from '../support/scope';
import {until} from '../support/until';

/** Resolves once no event of the session has been delivered for a moment. */
export async function settled(scope: Scope, {id}: {readonly id: string}): Promise<void> {
  let delivered = -1;
  await until('the events to settle', async () => {
    await sleep(300);
    const now = (await scope.session(id)).counts.delivered;
    const still = now === delivered;
    delivered = now;
    return still;
  });
}
