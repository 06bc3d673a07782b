import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {startProcess, stopProcess} from '../../cluster/processes';
import {inCluster} from '../../cluster/cluster';
import {run, until} from '../../cluster/shell';
import {layout} from './environment';

/** As the node knows it. Its own address, which containerd speaks to without TLS. */
export const REGISTRY = 'localhost:5000';

/** Starts an image registry on the node; it answers when this resolves. */
export async function startRegistry(): Promise<void> {
  const config = join(layout.dir, 'registry.yaml');
  mkdirSync(layout.dir, {recursive: true});
  // YAML is a superset of JSON.
  writeFileSync(
    config,
    JSON.stringify({
      version: 0.1,
      storage: {filesystem: {rootdirectory: join(layout.dir, 'registry')}},
      http: {addr: REGISTRY},
    }),
  );
  startProcess(layout, 'registry', 'docker-registry', ['serve', config]);
  await until('the registry', 20_000, async () => {
    await registryHas('');
    return true;
  });
}

export const stopRegistry = (): Promise<void> => stopProcess(layout, 'registry');

/** What the registry's API answers (OCI distribution-spec), by a path below /v2/. */
export const registryHas = (path: string): Promise<string> => {
  const ask =
    "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode(), end='')";
  return run(...inCluster(layout, ['python3', '-c', ask, `http://${REGISTRY}/v2/${path}`]));
};
