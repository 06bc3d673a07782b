import {createHash} from 'node:crypto';
import {mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {run} from './shell';

/** What goes into an image of one layer, made from a folder. */
export interface ImageSource {
  readonly name: string;
  readonly rootDir: string;
  readonly entrypoint: readonly string[];
  readonly user?: string;
}

/** Writes a folder as an OCI archive (image-spec 1.0 layout in a tar) that `ctr image import` takes. */
export async function writeOciArchive(source: ImageSource, file: string): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'scope-image-'));
  try {
    const blobs = join(work, 'blobs', 'sha256');
    mkdirSync(blobs, {recursive: true});
    const layerFile = join(work, 'layer.tar');
    await run('tar', [
      '--sort=name',
      '--mtime=@0',
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '-C',
      source.rootDir,
      '-cf',
      layerFile,
      '.',
    ]);
    const layer = putFile(blobs, layerFile);
    const config = putJson(blobs, {
      architecture: 'amd64',
      os: 'linux',
      config: {
        Entrypoint: source.entrypoint,
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        ...(source.user === undefined ? {} : {User: source.user}),
      },
      rootfs: {type: 'layers', diff_ids: [layer.digest]},
    });
    const manifest = putJson(blobs, {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: {mediaType: 'application/vnd.oci.image.config.v1+json', ...config},
      layers: [{mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer}],
    });
    writeFileSync(
      join(work, 'index.json'),
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          {
            mediaType: 'application/vnd.oci.image.manifest.v1+json',
            ...manifest,
            annotations: {
              'io.containerd.image.name': source.name,
              'org.opencontainers.image.ref.name': source.name.slice(source.name.lastIndexOf(':') + 1),
            },
            platform: {architecture: 'amd64', os: 'linux'},
          },
        ],
      }),
    );
    writeFileSync(join(work, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    mkdirSync(dirname(file), {recursive: true});
    await run('tar', ['-C', work, '-cf', `${file}.part`, 'oci-layout', 'index.json', 'blobs']);
    renameSync(`${file}.part`, file);
  } finally {
    rmSync(work, {recursive: true, force: true});
  }
}

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

function putFile(blobs: string, file: string): Descriptor {
  const content = readFileSync(file);
  const hex = createHash('sha256').update(content).digest('hex');
  renameSync(file, join(blobs, hex));
  return {digest: `sha256:${hex}`, size: content.length};
}

function putJson(blobs: string, value: object): Descriptor {
  const content = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(content).digest('hex');
  writeFileSync(join(blobs, hex), content);
  return {digest: `sha256:${hex}`, size: content.length};
}
