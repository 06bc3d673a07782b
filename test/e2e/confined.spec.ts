// Pods that may do as little as a pod can: attaching must not need anything of them, nor take what they need themselves.
import type {Pod} from '@scope/kube';
import {faultsSince, footprint} from '../support/intact';
import {applyUntilReady, deleteUntilGone, readAttach, scopeAttach} from './support/attaches';
import {EventLog} from './support/event-log';
import {apply, get, kubectl} from './support/kubectl';
import {whenCluster} from './support/when-cluster';
import {manifest, processesOf, request, restarts, startWorkloads, untilAnswered} from './support/workloads';

const KINDS = [
  ['nginx', '10.96.100.11'],
  ['go', '10.96.100.12'],
  ['node', '10.96.100.13'],
  ['python', '10.96.100.14'],
] as const;
const REQUESTS = 400;
const LANES = 8;

whenCluster(
  'non-root, no capability, read-only root, RuntimeDefault seccomp, half a processor, 64 MiB, under load',
  () => {
    let log: EventLog;

    beforeAll(async () => {
      await startWorkloads();
      await apply(manifest('confined.yaml'));
      await kubectl('wait', '-n', 'shop', 'pod', '-l', 'confined', '--for=condition=Ready', '--timeout=60s');
      await untilAnswered(...KINDS.map(([, address]) => address));
      log = new EventLog();
    });

    afterAll(async () => {
      await log.close();
      await kubectl('delete', 'pod', '-n', 'shop', '-l', 'confined', '--timeout=60s');
    });

    it.each(KINDS)(
      '%s: scoped at work, each request seen once, let go of at work, as it was',
      async (kind, address) => {
        const name = `confined-${kind}`;
        const before = (await processesOf(name)).map(footprint);

        const meanwhile = request(address, '/attaching', REQUESTS, LANES);
        const ms = await applyUntilReady(scopeAttach(name, {target: {podName: name}}));
        await meanwhile;
        process.stderr.write(`e2e, measured: ${name}, apply to Ready: ${ms} ms\n`);
        expect((await readAttach(name))?.status?.processes).toEqual({scoped: before.length, failed: 0});

        await request(address, `/${kind}`, REQUESTS, LANES);
        const exchanges = await log.untilExchanges(`/${kind}`, REQUESTS);
        expect(exchanges).toHaveLength(REQUESTS);
        for (const {process} of exchanges) expect(process).toMatchObject({pod: name, container: 'server'});

        const after = request(address, '/detaching', REQUESTS, LANES);
        await deleteUntilGone('scopeattach', name, 'shop');
        await after;
        expect(before.flatMap(one => faultsSince(one, {descriptors: 'ours', leftovers: true}))).toEqual([]);
        expect(await restarts('shop', `confined=${kind}`)).toEqual([0]);
        expect((await get<Pod>('pod', name, 'shop'))?.status?.phase).toBe('Running');
      },
    );
  },
);
