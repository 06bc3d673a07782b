// The images of the programs that the suite attaches to. Prints one archive a line; builds only what the cache lacks.
//
//   localhost/e2e/servers:1   nginx, Python and Node, made of Debian packages and Node's own program
//   localhost/e2e/go:1        one static Go program (first argument) and nothing else: no shell, no libc
import {createHash} from 'node:crypto';
import {cpSync, existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {withBuildah} from '../../../scripts/lib/buildah.mjs';
import {packageClosure, passwdFile, unpackPackages} from '../../../scripts/lib/debian-rootfs.mjs';
import {IMAGE_NODE, nodeBinary} from '../../../scripts/lib/npm-program.mjs';
import {StepError, cacheDir, script} from '../../../scripts/lib/steps.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const SERVERS = ['base-files', 'nginx-light', 'python3', 'libstdc++6'];

await script(() => {
  const [goServer] = process.argv.slice(2);
  if (goServer === undefined) throw new StepError('usage: build.mjs GO-SERVER');
  process.stdout.write(`${servers()}\n${goImage(goServer)}\n`);
});

function servers() {
  const packages = packageClosure(SERVERS);
  const files = ['nginx.conf', 'server.py', 'client.py', 'server.mjs'].map(name => join(here, 'servers', name));
  const file = archiveFile('servers', [packages.join(' '), IMAGE_NODE, ...files.map(path => readFileSync(path))]);
  if (existsSync(file)) return file;
  withBuildah(({work, archive, fromFolder}) => {
    const rootfs = join(work, 'rootfs');
    unpackPackages(packages, rootfs, join(work, 'packages'));
    writeFileSync(join(rootfs, 'etc/passwd'), passwdFile());
    writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\n');
    cpSync(nodeBinary(), join(rootfs, 'usr/bin/node'));
    mkdirSync(join(rootfs, 'srv'), {recursive: true});
    for (const path of files) cpSync(path, join(rootfs, 'srv', path.slice(path.lastIndexOf('/') + 1)));
    fromFolder('localhost/e2e/servers:1', 'rootfs', ['CMD ["nginx", "-c", "/srv/nginx.conf"]']);
    archive('localhost/e2e/servers:1', file);
  });
  return file;
}

function goImage(binary) {
  const file = archiveFile('go', [readFileSync(binary)]);
  if (existsSync(file)) return file;
  withBuildah(({work, archive, fromFolder}) => {
    mkdirSync(join(work, 'rootfs'));
    cpSync(binary, join(work, 'rootfs/server'));
    fromFolder('localhost/e2e/go:1', 'rootfs', ['USER 65532:65532', 'ENTRYPOINT ["/server"]']);
    archive('localhost/e2e/go:1', file);
  });
  return file;
}

function archiveFile(name, inputs) {
  const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  for (const input of inputs) hash.update(input).update('\0');
  return join(cacheDir, 'images', `e2e-${name}-${hash.digest('hex').slice(0, 16)}.tar`);
}
