import {createHash} from 'node:crypto';

const MAX_NAME = 63;
const HASH_DIGITS = 10;

/**
 * The name of the ScopeTarget of one pod for one object: the pod's name, as much as fits, and a hash of both uids. The
 * same pair always gives the same name; a pod or object made anew gives another.
 */
export function targetName(podName: string, podUid: string, attachUid: string): string {
  const hash = createHash('sha256').update(`${attachUid}/${podUid}`).digest('hex').slice(0, HASH_DIGITS);
  const room = MAX_NAME - HASH_DIGITS - 1;
  return `${podName.slice(0, room).replace(/[-.]+$/, '')}-${hash}`;
}
