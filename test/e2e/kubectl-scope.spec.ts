// `kubectl scope` as a person types it: what it prints, what it makes in the cluster, what it says of a mistake.
import type {ScopeEvent} from '@scope/api';
import {join} from 'node:path';
import {inCluster} from '../cluster/cluster';
import {kubeconfigFile, repositoryRoot} from '../cluster/layout';
import type {RunResult} from '../cluster/shell';
import {tryRun, until} from '../cluster/shell';
import {readAttach, readClusterAttach} from './support/attaches';
import {layout} from './support/environment';
import {Followed} from './support/kubectl';
import {whenCluster} from './support/when-cluster';
import {addresses, request, restarts, startWorkloads} from './support/workloads';

const REQUESTS = 5;

const kubeconfig = kubeconfigFile(layout, 'admin');
const commandOf = (...args: readonly string[]): [string, string[]] =>
  inCluster(layout, [process.execPath, join(repositoryRoot, 'bin/kubectl-scope'), ...args]);
const scope = (...args: readonly string[]): Promise<RunResult> =>
  tryRun(...commandOf(...args), {env: {KUBECONFIG: kubeconfig}});

/** Of a command that must succeed: its standard output. */
async function said(...args: readonly string[]): Promise<string> {
  const {code, stdout, stderr} = await scope(...args);
  if (code !== 0) throw new Error(`kubectl scope ${args.join(' ')}: exit ${code}\n${stderr}${stdout}`);
  return stdout;
}

/** The command that the attach says ends it, without "kubectl scope". */
const endOf = (text: string): string[] => /End: kubectl scope (.+)$/m.exec(text)?.[1]?.split(' ') ?? [];

/** The rows of a table that kubectl printed. */
const rows = (text: string): string[][] =>
  text
    .trimEnd()
    .split('\n')
    .map(line => line.split(/\s+/));

whenCluster('kubectl scope', () => {
  beforeAll(startWorkloads);

  it('a pod by name: scoped, seen, listed, and ended by the command that it says', async () => {
    const text = await said('attach', 'pod/python', '-n', 'shop', '--for', '10m', '--header', 'x-request-id');
    const name = /^Created ScopeAttach shop\/(\S+)$/m.exec(text)?.[1] ?? '';
    expect(text).toMatch(/^Scoped 1 of 1 pods\.$/m);
    expect((await readAttach(name))?.spec).toMatchObject({
      target: {podName: 'python'},
      activeDeadlineSeconds: 600,
      capture: {http: {headers: ['x-request-id']}},
    });
    expect(rows(await said('get', '-n', 'shop')).map(([first]) => first)).toContain(name);

    await request(addresses.python, '/typed', REQUESTS);
    const lines = await until('the events', 60_000, async () => {
      const output = await said('events', '-n', 'shop', '-p', 'python', '-e', 'http.*', '-o', 'json');
      const events = output.split('\n').filter(line => line.includes('"/typed"'));
      return events.length >= REQUESTS ? events : undefined;
    });
    expect(lines).toHaveLength(REQUESTS);
    for (const line of lines) {
      const {event, process} = JSON.parse(line) as ScopeEvent;
      expect([event, process.namespace, process.pod]).toEqual(['http.exchange', 'shop', 'python']);
    }
    expect(await said('events', '-n', 'bank', '-o', 'json')).not.toContain('/typed');

    const end = endOf(text);
    expect(end).toEqual(['detach', name, '-n', 'shop']);
    expect(await said(...end)).toContain(name);
    expect(await readAttach(name)).toBeUndefined();
    expect(await restarts('shop', 'app=python')).toEqual([0]);
  });

  it('a deployment: listed by ps, and its events followed as they come', async () => {
    const text = await said('attach', 'deploy/web', '-n', 'shop');
    expect(text).toMatch(/^Scoped 2 of 2 pods\.$/m);
    expect(await said('ps', '-n', 'shop')).toContain(endOf(text)[1]);
    const lines: string[] = [];
    const [program, args] = commandOf('events', '-f', '-n', 'shop', '-e', 'http.*', '-o', 'json');
    const followed = new Followed(program, args, line => lines.push(line), {KUBECONFIG: kubeconfig});
    try {
      const count = (): number => lines.filter(line => line.includes('"/followed"')).length;
      // Until it follows: what comes before it does is not for it.
      await until('an event', 60_000, async () => {
        await request(addresses.web, '/first', 1);
        return lines.some(line => line.includes('"/first"')) || undefined;
      });
      await request(addresses.web, '/followed', REQUESTS);
      await until('all of them', 60_000, () => Promise.resolve(count() >= REQUESTS || undefined));
      expect(count()).toBe(REQUESTS);
    } finally {
      await followed.stop();
    }
    await said(...endOf(text));
  });

  it('labels in every namespace, as JSON: a ClusterScopeAttach, which its own command ends', async () => {
    const {code, stdout, stderr} = await scope('attach', '-l', 'tier=go', '-A', '--children', '-o', 'json');
    expect([code, stderr.split('\n')[0]]).toEqual([0, expect.stringMatching(/^Created ClusterScopeAttach go-/)]);
    const {metadata, status} = JSON.parse(stdout) as {metadata: {name: string}; status: {pods: {matched: number}}};
    // Two of the checkout team's, one of another's.
    expect(status.pods.matched).toBe(3);
    expect((await readClusterAttach(metadata.name))?.spec.target).toMatchObject({processes: {children: true}});
    expect(await said('get', '-A')).toContain(metadata.name);
    expect(rows(await said('get', '--targets', '-A'))).toHaveLength(1 + 3);
    await said('detach', metadata.name, '-A');
    expect(await readClusterAttach(metadata.name)).toBeUndefined();
  });

  it.each([
    [['attach'], 2, 'Give either pod/NAME, deploy/NAME… or -l SELECTOR.'],
    [['attach', 'service/web', '-n', 'shop'], 2, 'A service has no processes to scope.'],
    [['attach', '-l', 'app'], 2, 'No selector: app'],
    [['attach', 'pod/web', '--rate-limit', 'many'], 2, 'many'],
    [['detach', 'nobody', '-n', 'shop'], 3, 'not found'],
    [['atach', 'pod/web'], 2, 'attach'],
  ])('%j: a mistake is told, with an exit code of its own', async (args, code, words) => {
    const result = await scope(...args);
    expect(result.stderr).toContain(words);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe('');
  });
});
