// buildah with a storage of its own, beside the cache: other images of this machine are neither seen nor touched.
import {existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {StepError, cacheDir, output, run} from './steps.mjs';

/** Folders of builds that were killed: hundreds of megabytes each. */
function removeLeftovers() {
  for (const name of existsSync(cacheDir) ? readdirSync(cacheDir) : []) {
    const [, pid] = /^image-build-(\d+)$/.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(cacheDir, name), {recursive: true, force: true});
  }
}

/** Calls `build` with a folder to work in and buildah's verbs; whatever happens, nothing of it stays. */
export function withBuildah(build) {
  const work = join(cacheDir, `image-build-${process.pid}`);
  const storage = ['--root', join(work, 'storage'), '--runroot', join(work, 'run'), '--storage-driver', 'vfs'];
  const buildah = (what, ...args) => run(what, 'buildah', [...storage, ...args]);
  removeLeftovers();
  mkdirSync(work, {recursive: true});
  try {
    build({
      work,
      /** Builds a Dockerfile; `args` are further flags. */
      build: (name, file, context, ...args) =>
        buildah(
          name,
          'bud',
          '--isolation',
          'chroot',
          '--format',
          'oci',
          '--tag',
          name,
          '--file',
          file,
          ...args,
          context,
        ),
      /** Writes an image of the storage as an oci-archive, whole or not at all. */
      archive: (name, file) => {
        mkdirSync(dirname(file), {recursive: true});
        try {
          buildah(`archive of ${name}`, 'push', '--quiet', name, `oci-archive:${file}.part:${name}`);
          renameSync(`${file}.part`, file);
        } finally {
          rmSync(`${file}.part`, {force: true});
        }
      },
      /** Pushes the image of an oci-archive to a registry; `args` are further flags. */
      push: (file, reference, ...args) => {
        const id = output('buildah', [...storage, 'pull', '--quiet', `oci-archive:${file}`]);
        if (id === undefined) throw new StepError(`${file} is no oci-archive: delete it, and it is built again.`);
        buildah(`push ${reference}`, 'push', '--quiet', ...args, id, `docker://${reference}`);
      },
      /** Makes an image of a folder below `work`; `lines` are further lines of its Dockerfile. */
      fromFolder: (name, folder, lines = []) => {
        const file = join(work, 'Containerfile');
        writeFileSync(file, ['FROM scratch', `COPY ${folder}/ /`, ...lines, ''].join('\n'));
        buildah(name, 'bud', '--isolation', 'chroot', '--format', 'oci', '--tag', name, '--file', file, work);
      },
    });
  } finally {
    rmSync(work, {recursive: true, force: true});
  }
}
