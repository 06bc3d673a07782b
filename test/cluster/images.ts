import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pauseImage} from './configuration';
import type {Layout} from './layout';
import {cacheDir, containerdSocket, harnessDir} from './layout';
import {writeOciArchive} from './oci-archive';
import {run} from './shell';

/** Archive of the sandbox's image: one static program, compiled when the cache doesn't hold it. */
export async function pauseArchive(): Promise<string> {
  const source = join(harnessDir, 'images', 'pause', 'pause.c');
  const key = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16);
  const file = join(cacheDir(), 'images', `pause-${key}.tar`);
  if (existsSync(file)) return file;
  const root = mkdtempSync(join(tmpdir(), 'scope-pause-'));
  try {
    mkdirSync(join(root, 'etc'));
    await run('gcc', ['-O2', '-static', '-s', '-o', join(root, 'pause'), source]);
    await writeOciArchive({name: pauseImage, rootDir: root, entrypoint: ['/pause']}, file);
  } finally {
    rmSync(root, {recursive: true, force: true});
  }
  return file;
}

/** Makes the images of an archive known to the cluster's containerd, where the kubelet finds them. What ctr says of it. */
export function importImage(layout: Layout, archive: string): Promise<string> {
  return run('ctr', ['-a', containerdSocket(layout), '-n', 'k8s.io', 'image', 'import', archive], {timeoutMs: 300_000});
}
