// The cluster itself, which every other spec stands on. It is killed and ended here, and brought up again at the end.
import {join} from 'node:path';
import {traces} from '../cluster/cluster';
import {containerProcesses, killContainerProcesses, killShims} from '../cluster/containers';
import {pauseArchive} from '../cluster/images';
import {repositoryRoot} from '../cluster/layout';
import {killRecorded, startTicks} from '../cluster/processes';
import type {RunResult} from '../cluster/shell';
import {tryRun} from '../cluster/shell';
import {begin, end, layout} from './support/environment';
import {whenCluster} from './support/when-cluster';
import {addresses, request, startWorkloads} from './support/workloads';

/** Pid and start time of what runs in the pods. */
const podProcesses = (): ReadonlyMap<number, string | undefined> =>
  new Map(containerProcesses(layout).map(pid => [pid, startTicks(pid)]));

const stillThere = (before: ReadonlyMap<number, string | undefined>): readonly number[] =>
  [...before].filter(([pid, ticks]) => ticks !== undefined && startTicks(pid) === ticks).map(([pid]) => pid);

whenCluster('the cluster of the tests', () => {
  beforeAll(startWorkloads);
  // For whichever spec comes next.
  afterAll(begin);

  it('is told by one command, which takes images too', async () => {
    const cluster = (...args: readonly string[]): Promise<RunResult> =>
      tryRun(process.execPath, [join(repositoryRoot, 'scripts/cluster.mjs'), ...args]);
    const status = await cluster('status');
    expect([status.code, status.stderr]).toEqual([0, '']);
    for (const name of ['etcd', 'apiserver', 'containerd', 'controllers', 'scheduler', 'kubelet', 'proxy']) {
      expect(status.stdout).toMatch(new RegExp(`^${name} +\\d+ +running$`, 'm'));
    }
    expect(status.stdout).toMatch(/^node\/node0 +Ready /m);
    const loaded = await cluster('load', await pauseArchive());
    expect(loaded).toMatchObject({code: 0, stdout: expect.stringContaining('test.local/pause:1') as string});
    expect((await cluster('load')).code).toBe(2);
  });

  it('comes up again after every daemon was killed at once, pods still running', async () => {
    const before = podProcesses();
    expect(before.size).toBeGreaterThan(5);
    // The daemons, then the shims: what they had started lives on without them.
    killRecorded(layout);
    await killShims(layout);
    expect(stillThere(before)).toHaveLength(before.size);

    await begin();
    expect(stillThere(before)).toEqual([]);
    await startWorkloads();
    expect(await request(addresses.web, '/again', 5)).toHaveLength(5);
  });

  it('comes up again after its pods were killed too', async () => {
    killRecorded(layout);
    await killShims(layout);
    await killContainerProcesses(layout);
    await begin();
    await startWorkloads();
    expect(await request(addresses.web, '/once-more', 5)).toHaveLength(5);
  });

  it('goes without a trace: no process, mount, namespace, cgroup or file', async () => {
    const before = podProcesses();
    expect(await traces(layout)).not.toEqual([]);
    await end();
    expect(stillThere(before)).toEqual([]);
    expect(await traces(layout)).toEqual([]);
    // And once more, with nothing there.
    await end();
    expect(await traces(layout)).toEqual([]);
  });
});
