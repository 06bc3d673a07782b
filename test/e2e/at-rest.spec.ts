// What Scope costs the control plane, counted by the API server itself: its audit log has a line for each request of ours.
import {readFileSync} from 'node:fs';
import {auditLog} from '../cluster/layout';
import {until} from '../cluster/shell';
import {applyUntilReady, deleteUntilGone, scopeAttach, untilAttach} from './support/attaches';
import {layout, SYSTEM_NAMESPACE} from './support/environment';
import {kubectl} from './support/kubectl';
import {whenCluster} from './support/when-cluster';
import {podNames, startWorkloads} from './support/workloads';

const QUIET_MS = 120_000;
/** Without a request for so long, work is over. */
const SETTLED_MS = 5_000;
/** A pod that goes and another one that comes, of one ScopeAttach: two targets' lives, and its own status. */
const MOST_REQUESTS = 40;

interface AuditEvent {
  readonly verb: string;
  readonly user: {readonly username: string};
  readonly objectRef?: {readonly resource?: string; readonly subresource?: string};
  readonly responseStatus?: {readonly code?: number};
}

/** Our requests so far, but those by which the controllers say who leads: they go on for ever, and are told apart. */
function requests(): {readonly work: readonly AuditEvent[]; readonly leases: number} {
  const ours = readFileSync(auditLog(layout), 'utf8')
    .split('\n')
    // The last line may be half written.
    .slice(0, -1)
    .map(line => JSON.parse(line) as AuditEvent)
    .filter(({user}) => user.username.startsWith(`system:serviceaccount:${SYSTEM_NAMESPACE}:`));
  const work = ours.filter(({objectRef}) => objectRef?.resource !== 'leases');
  return {work, leases: ours.length - work.length};
}

const isWrite = ({verb}: AuditEvent): boolean => !['get', 'list', 'watch'].includes(verb);

function tally(events: readonly AuditEvent[]): string {
  const counts = new Map<string, number>();
  for (const {verb, user, objectRef, responseStatus} of events) {
    const who = user.username.slice(user.username.lastIndexOf(':') + 1);
    const what = [objectRef?.resource, objectRef?.subresource].filter(part => part !== undefined).join('/');
    const line = `${who} ${verb} ${what} ${responseStatus?.code ?? ''}`.trimEnd();
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].map(([line, count]) => `${count} × ${line}`).join(', ');
}

/** Waits until no request came for a while. */
async function settle(): Promise<void> {
  let [count, since] = [-1, 0];
  await until('our requests to end', 60_000, () => {
    const now = requests().work.length;
    if (now !== count) [count, since] = [now, Date.now()];
    return Promise.resolve(Date.now() - since > SETTLED_MS || undefined);
  });
}

whenCluster('the control plane', () => {
  beforeAll(async () => {
    await startWorkloads();
    await applyUntilReady(scopeAttach('rest', {target: {workloadRef: {kind: 'Deployment', name: 'web'}}}));
    await settle();
  });

  afterAll(async () => {
    await deleteUntilGone('scopeattach', 'rest', 'shop');
  });

  it('is written to by nobody in two quiet minutes', async () => {
    const before = requests();
    await new Promise(resolve => setTimeout(resolve, QUIET_MS));
    const after = requests();
    const came = after.work.slice(before.work.length);
    process.stderr.write(
      `e2e, measured: two quiet minutes: ${came.length} requests (${tally(came)}), and ${after.leases - before.leases} of leases\n`,
    );
    expect(tally(came.filter(isWrite))).toBe('');
  });

  it('is asked a bounded number of times when one pod is replaced by another', async () => {
    const before = requests().work.length;
    const [pod = ''] = await podNames('shop', 'app=web');
    await kubectl('delete', 'pod', '-n', 'shop', pod, '--timeout=60s');
    const names = async (): Promise<boolean> => !(await podNames('shop', 'app=web')).includes(pod);
    await until('the next pod', 30_000, async () => (await names()) || undefined);
    await untilAttach(
      'it to be scoped',
      'rest',
      one => one.status?.pods?.scoped === 2 && one.status.pods.matched === 2,
    );
    await settle();
    const came = requests().work.slice(before);
    process.stderr.write(`e2e, measured: one pod replaced: ${came.length} requests (${tally(came)})\n`);
    expect(came.length).toBeGreaterThan(0);
    expect(came.length).toBeLessThanOrEqual(MOST_REQUESTS);
  });
});
