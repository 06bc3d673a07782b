import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {cacheDir, harnessDir, repositoryRoot} from './layout';
import {run} from './shell';

/** A Go program the tests need and no package brings: built once, kept outside the tree by the hash of its inputs. */
interface GoProgram {
  readonly name: string;
  /** Folder with go.mod and sources, or a `module/cmd@version` for `go install`. */
  readonly source: {readonly dir: string} | {readonly install: string};
  readonly note: string;
  readonly cgo: boolean;
  /** Module of go.mod whose version the program is to report as its own; it says v0.0.0 otherwise. */
  readonly versionOf?: string;
}

const programs = {
  kube: {
    name: 'kube',
    source: {dir: join(harnessDir, 'kube')},
    note: 'Kubernetes 1.35 and etcd; about four minutes the first time',
    cgo: true,
    versionOf: 'k8s.io/kubernetes',
  },
  helm: {
    name: 'helm',
    source: {install: 'helm.sh/helm/v3/cmd/helm@v3.22.0'},
    note: 'about two minutes the first time',
    cgo: false,
  },
  collector: {
    name: 'collector',
    source: {dir: join(repositoryRoot, 'test/e2e/collector')},
    note: 'OpenTelemetry collector; about one minute the first time',
    cgo: false,
  },
  'go-server': {
    name: 'go-server',
    source: {dir: join(repositoryRoot, 'test/e2e/images/go-server')},
    note: 'a server to attach to',
    cgo: false,
  },
} as const satisfies Record<string, GoProgram>;

export type BinaryName = keyof typeof programs;

/** Path of the binary; builds it when the cache doesn't hold it, saying so on standard error. */
export async function ensureBinary(name: BinaryName): Promise<string> {
  const program: GoProgram = programs[name];
  const key = await inputHash(program);
  const dir = join(cacheDir(), 'bin');
  const file = join(dir, `${name}-${key}`);
  if (existsSync(file)) return file;

  mkdirSync(dir, {recursive: true});
  const started = Date.now();
  process.stderr.write(`building ${name} (${program.note})\n`);
  const timer = setInterval(() => {
    process.stderr.write(`  ${name}: ${Math.round((Date.now() - started) / 1000)} s\n`);
  }, 15_000);
  const work = `${file}.${process.pid}`;
  try {
    const options = {timeoutMs: 1_800_000, env: {CGO_ENABLED: program.cgo ? '1' : '0'}};
    if ('dir' in program.source) {
      const flags = `-ldflags=-s -w ${versionFlags(program)}`;
      await run('go', ['build', '-trimpath', flags, '-o', work, '.'], {...options, cwd: program.source.dir});
    } else {
      const bin = `${work}.d`;
      const env = {...options.env, GOBIN: bin};
      await run('go', ['install', '-trimpath', '-ldflags=-s -w', program.source.install], {...options, env});
      renameSync(join(bin, name), work);
      rmSync(bin, {recursive: true});
    }
    renameSync(work, file); // A half-written binary never bears the final name.
  } finally {
    clearInterval(timer);
    rmSync(work, {force: true});
  }
  process.stderr.write(`built ${name} in ${Math.round((Date.now() - started) / 1000)} s\n`);
  return file;
}

/** What the programs of k8s.io/component-base read their version from. */
function versionFlags({source, versionOf}: GoProgram): string {
  if (versionOf === undefined || !('dir' in source)) return '';
  const line = readFileSync(join(source.dir, 'go.mod'), 'utf8')
    .split('\n')
    .find(text => text.includes(`${versionOf} v`));
  const version = /v(\d+)\.(\d+)\.\d+/.exec(line ?? '');
  if (version === null) throw new Error(`go.mod names no version of ${versionOf}`);
  const variables = 'k8s.io/component-base/version';
  const [text, major, minor] = version;
  return `-X ${variables}.gitVersion=${text} -X ${variables}.gitMajor=${major} -X ${variables}.gitMinor=${minor}`;
}

async function inputHash(program: GoProgram): Promise<string> {
  const hash = createHash('sha256')
    .update(await run('go', ['version']))
    .update(versionFlags(program));
  if ('install' in program.source) {
    hash.update(program.source.install);
  } else {
    for (const name of readdirSync(program.source.dir).sort()) {
      hash.update(name).update(readFileSync(join(program.source.dir, name)));
    }
  }
  return hash.digest('hex').slice(0, 16);
}
