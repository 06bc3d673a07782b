import {existsSync, mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {ensureBinary} from '../../cluster/binaries';
import {down, inCluster, kubectl, up} from '../../cluster/cluster';
import {importImage} from '../../cluster/images';
import {defaultLayout, kubeconfigFile, repositoryRoot} from '../../cluster/layout';
import {startProcess, stopProcess} from '../../cluster/processes';
import {run, until} from '../../cluster/shell';

/** The cluster that the suite has for itself. */
export const layout = defaultLayout();
/** Where Scope is installed. */
export const SYSTEM_NAMESPACE = 'scope-system';
export const RELEASE = 'scope';
const OTLP_PORT = 4318;

/** The agent's folder on the node. */
export const runDir = (): string => join(layout.dir, 'run');
export const collectorFile = (): string => join(layout.dir, 'collected.jsonl');

interface Parts {
  readonly collector: string;
  /** Archives of images. */
  readonly images: readonly string[];
}

let parts: Promise<Parts> | undefined;

/** What goes into the cluster; built when the cache doesn't hold it. */
async function build(): Promise<Parts> {
  await ensureBinary('helm');
  const [collector, goServer] = [await ensureBinary('collector'), await ensureBinary('go-server')];
  const talk = {timeoutMs: 600_000, onStderr: (text: string): boolean => process.stderr.write(text)};
  const image = (await run('node', [join(repositoryRoot, 'scripts/image.mjs')], talk)).trim();
  const servers = await run('node', [join(repositoryRoot, 'test/e2e/images/build.mjs'), goServer], talk);
  return {collector, images: [image, ...servers.trim().split('\n')]};
}

/** Builds what is missing, brings the cluster up, puts images, collector and chart into it. */
export async function begin(): Promise<void> {
  const say = (text: string): void => {
    process.stderr.write(`e2e: ${text}\n`);
  };
  const started = Date.now();
  const {collector, images} = await (parts ??= build());
  say(`programs and images are there after ${seconds(started)} s`);
  await up(layout);
  say(`node ready after ${seconds(started)} s`);
  for (const archive of images) await importImage(layout, archive);
  await startCollector(collector);
  await installChart();
  say(`chart installed after ${seconds(started)} s`);
}

/** Ends everything; harmless when nothing runs. */
export async function end(): Promise<void> {
  await stopProcess(layout, 'collector');
  await down(layout);
}

async function startCollector(binary: string): Promise<void> {
  const config = join(layout.dir, 'collector.yaml');
  const endpoint = `${layout.nodeAddress}:${OTLP_PORT}`;
  mkdirSync(layout.dir, {recursive: true});
  writeFileSync(
    config,
    JSON.stringify({
      receivers: {otlp: {protocols: {http: {endpoint}}}},
      exporters: {file: {path: collectorFile(), flush_interval: '200ms'}},
      service: {
        pipelines: {logs: {receivers: ['otlp'], exporters: ['file']}},
      },
    }),
  );
  startProcess(layout, 'collector', binary, ['--config', `file:${config}`]);
  await until('the collector', 60_000, () => Promise.resolve(existsSync(collectorFile()) || undefined));
}

/** Installs the chart, or upgrades what is installed; ready when it resolves. `more` are further values, as NAME=VALUE. */
export async function installChart(...more: readonly string[]): Promise<void> {
  const values = [
    'image.registry=localhost',
    'image.pullPolicy=Never',
    `otlp.endpoint=http://${layout.nodeAddress}:${OTLP_PORT}`,
    'controller.replicas=2',
    `agent.runDir=${runDir()}`,
    ...more,
  ];
  const chart = join(repositoryRoot, 'charts/scope');
  const args = ['upgrade', '--install', RELEASE, chart, '--namespace', SYSTEM_NAMESPACE, '--create-namespace'];
  await runHelm([...args, ...values.flatMap(value => ['--set', value]), '--wait', '--timeout', '90s']);
}

/** Uninstalls the chart and waits for its pods' end: helm waits only until a DaemonSet is gone, which ends them afterwards. */
export async function uninstallChart(): Promise<void> {
  await runHelm(['uninstall', RELEASE, '--namespace', SYSTEM_NAMESPACE, '--wait', '--timeout', '90s']);
  await untilNoChartPods();
}

export async function untilNoChartPods(): Promise<void> {
  await until('the end of the chart’s pods', 60_000, async () => {
    const pods = await kubectl(layout, ['get', 'pods', '-n', SYSTEM_NAMESPACE, '-o', 'name']);
    return pods === '' || undefined;
  });
}

async function runHelm(args: readonly string[]): Promise<void> {
  const env = {KUBECONFIG: kubeconfigFile(layout, 'admin')};
  await run(...inCluster(layout, [await ensureBinary('helm'), ...args]), {timeoutMs: 120_000, env});
}

const seconds = (since: number): string => ((Date.now() - since) / 1000).toFixed(1);
