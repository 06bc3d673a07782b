import {existsSync} from 'node:fs';
import {ensureBinary} from './binaries';
import {down, inCluster, status, up} from './cluster';
import {importImage} from './images';
import {defaultLayout, kubeconfigFile} from './layout';
import {spawnSync} from 'node:child_process';

const usage = `usage: npm run cluster -- COMMAND
  up          bring the cluster up from nothing
  status      what runs
  down        end it and remove every trace
  load IMAGE  make the images of an archive (docker save, podman save, npm run image) known to it
  exec CMD    run a command in its network namespace, with KUBECONFIG set
  helm ARGS   run helm against it
`;

async function main(args: readonly string[]): Promise<number> {
  const layout = defaultLayout();
  switch (args[0]) {
    case 'up': {
      const started = Date.now();
      await up(layout);
      process.stdout.write(`node ${layout.nodeName} is ready after ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
      process.stdout.write(
        `KUBECONFIG=${kubeconfigFile(layout, 'admin')} nsenter --net=/var/run/netns/${layout.netns} kubectl get nodes\n`,
      );
      return 0;
    }
    case 'down':
      await down(layout);
      return 0;
    case 'load': {
      const [, archive] = args;
      if (archive === undefined) break;
      if (!existsSync(kubeconfigFile(layout, 'admin'))) throw new Error('no cluster: npm run cluster -- up');
      process.stdout.write(await importImage(layout, archive));
      return 0;
    }
    case 'status': {
      const current = await status(layout);
      for (const record of current.processes) {
        process.stdout.write(
          `${record.name.padEnd(14)} ${String(record.pid).padEnd(8)} ${record.alive ? 'running' : 'ended'}\n`,
        );
      }
      process.stdout.write(current.networkNamespace ? current.objects : 'no cluster\n');
      return current.networkNamespace && current.processes.every(record => record.alive) ? 0 : 1;
    }
    case 'exec': {
      if (!existsSync(kubeconfigFile(layout, 'admin'))) throw new Error('no cluster: npm run cluster -- up');
      const [program, programArgs] = inCluster(layout, args.slice(1));
      const env = {...process.env, KUBECONFIG: kubeconfigFile(layout, 'admin')};
      return spawnSync(program, programArgs, {stdio: 'inherit', env}).status ?? 1;
    }
    case 'helm': {
      const [program, programArgs] = inCluster(layout, [await ensureBinary('helm'), ...args.slice(1)]);
      const env = {...process.env, KUBECONFIG: kubeconfigFile(layout, 'admin')};
      return spawnSync(program, programArgs, {stdio: 'inherit', env}).status ?? 1;
    }
    default:
  }
  process.stderr.write(usage);
  return 2;
}

main(process.argv.slice(2)).then(
  code => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
