// A root folder made of Debian packages, with apt's own sources of this machine: no container engine, no registry.
import {mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync} from 'node:fs';
import {join} from 'node:path';
import {output, StepError} from './steps.mjs';

/**
 * The packages and all they depend on, as `name=version`, sorted: what identifies a root folder made of them.
 * Only what is strictly needed: no recommendations. Packages that a container has no use for are left out.
 */
export function packageClosure(names) {
  const no = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map(kind => `--no-${kind}`);
  const listed = output('apt-cache', ['depends', '--recurse', ...no, ...names]);
  if (listed === undefined) throw new StepError(`apt-cache knows no ${names.join(', ')}: run apt-get update.`);
  const all = [...new Set(listed.split('\n').filter(line => /^[a-z0-9]/.test(line)))].filter(name => !isLeftOut(name));
  const policies = output('apt-cache', ['policy', ...all]) ?? '';
  const versions = [...policies.matchAll(/^(\S+):\n\s+Installed:.*\n\s+Candidate: (\S+)/gm)];
  return versions
    .filter(([, , version]) => version !== '(none)')
    .map(([, name, version]) => `${name}=${version}`)
    .sort();
}

const isLeftOut = name =>
  /:i386$|^(debconf|dpkg|perl.*|libperl.*|init-system-helpers|lsb-base|sysvinit-utils)$/.test(name);

/** Unpacks the packages (`name=version`) into `dir`, which is made. No package's scripts run. */
export function unpackPackages(packages, dir, workDir) {
  rmSync(workDir, {recursive: true, force: true});
  mkdirSync(workDir, {recursive: true});
  mkdirSync(dir, {recursive: true});
  if (
    output('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', ...packages], {cwd: workDir}) === undefined
  ) {
    throw new StepError(`apt-get could not download ${packages.join(' ')}: run apt-get update.`);
  }
  mergeUsr(dir);
  for (const file of readdirSync(workDir)) {
    // Through tar: dpkg-deb -x would replace the merged folders' links by folders.
    const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"';
    if (output('sh', ['-c', unpack, 'sh', join(workDir, file), dir]) === undefined) {
      throw new StepError(`${file} could not be unpacked.`);
    }
  }
  for (const path of ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'var/cache/apt']) {
    rmSync(join(dir, path), {recursive: true, force: true});
  }
  rmSync(workDir, {recursive: true, force: true});
}

/** /bin, /lib and their like are links into /usr, as on any Debian since bookworm. */
function mergeUsr(dir) {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(dir, 'usr', name), {recursive: true});
    symlinkSync(`usr/${name}`, join(dir, name));
  }
  for (const name of ['tmp', 'etc', 'proc', 'sys', 'dev', 'run', 'var/tmp'])
    mkdirSync(join(dir, name), {recursive: true});
}

/** Numbers of users and groups that programs look up. */
export const passwdFile = () =>
  readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .filter(line => /^(root|nobody|www-data):/.test(line))
    .concat('scope:x:65532:65532::/:/usr/sbin/nologin', '')
    .join('\n');
