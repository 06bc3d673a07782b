// Packages of other Debian releases, fetched by apt itself (its mirrors, proxies and signatures) with a state of its own,
// and unpacked into a folder of the cache: nothing of this machine's packages is touched.
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {cache} from './compile';
import {NotMeasured} from './not-measured';
import {run} from './program';

export type Suite = 'bullseye' | 'trixie' | 'sid';

export interface SuiteRoot {
  /** A folder with the packages' files, /bin, /lib and the like being links into /usr. */
  readonly root: string;
  /** Package → its version without epoch: "libc6" → "2.41-12+deb13u5". */
  readonly versions: Readonly<Record<string, string>>;
}

const PACKAGES = [
  'libc6',
  'libc6-dev',
  'linux-libc-dev',
  'libcrypt-dev',
  'libcrypt1',
  'libgcc-s1',
  'musl',
  'musl-dev',
  'busybox',
  'busybox-static',
];

export const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The mirrors of Debian that this machine's own sources of apt name. */
export function mirrors(): string[] {
  const folder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(folder) ? readdirSync(folder).map(name => join(folder, name)) : []),
  ].filter(path => existsSync(path));
  const named = files.flatMap(path => [
    ...readFileSync(path, 'utf8').matchAll(/^[^#\n]*?(https?:\/\/\S+\/debian)\/?(?=\s|$)/gm),
  ]);
  return [...new Set(named.flatMap(([, address]) => address ?? []))];
}

/** apt-get with lists, cache and status of its own in `state`. */
export async function apt(state: string, ...args: readonly string[]): Promise<{code: number | null; stderr: string}> {
  const options = {
    'Dir::Etc::sourcelist': join(state, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(state, 'lists'),
    'Dir::State::status': join(state, 'status'),
    'Dir::Cache': join(state, 'cache'),
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    'Acquire::Retries': '2',
    'Acquire::http::Timeout': '20',
    // A release that is no longer supported is signed for the last time.
    'Acquire::Check-Valid-Until': 'false',
  };
  const env = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      /_proxy$/i.test(name) && value !== undefined ? [[name, value]] : [],
    ),
  );
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  return run('apt-get', [...flags, '-q', ...args], {cwd: join(state, 'packages'), env, timeoutMs: 180_000});
}

async function download(suite: Suite, state: string): Promise<void> {
  for (const folder of ['lists/partial', 'cache/archives/partial', 'packages']) {
    mkdirSync(join(state, folder), {recursive: true});
  }
  writeFileSync(join(state, 'status'), '');
  const said: string[] = [];
  for (const mirror of mirrors()) {
    writeFileSync(join(state, 'sources.list'), `deb [arch=amd64 signed-by=${KEYRING}] ${mirror} ${suite} main\n`);
    const update = await apt(state, 'update');
    const fetched = update.code === 0 ? await apt(state, 'download', ...PACKAGES) : update;
    if (fetched.code === 0) return;
    said.push(`${mirror}: ${fetched.stderr.trim().split('\n').at(-1) ?? ''}`);
  }
  throw new NotMeasured(`no packages of Debian ${suite} can be had: ${said.join('; ')}`);
}

async function unpack(packages: string, root: string): Promise<Record<string, string>> {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    mkdirSync(join(root, 'usr', name), {recursive: true});
    symlinkSync(`usr/${name}`, join(root, name));
  }
  const versions: Record<string, string> = {};
  for (const file of readdirSync(packages).sort()) {
    // Through tar: dpkg-deb -x would replace the links by folders.
    const script = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"';
    const {code, stderr} = await run('bash', ['-o', 'pipefail', '-c', script, 'sh', join(packages, file), root]);
    if (code !== 0) throw new Error(`${file} could not be unpacked: ${stderr}`);
    const [name = '', version = ''] = file.split('_');
    versions[name] = decodeURIComponent(version).replace(/^\d+:/, '');
  }
  for (const path of ['usr/share/doc', 'usr/share/man']) rmSync(join(root, path), {recursive: true, force: true});
  keepLinksInside(root);
  return versions;
}

/** Links to absolute paths mean paths of this root, not of the machine's. */
function keepLinksInside(root: string): void {
  for (const entry of readdirSync(root, {recursive: true, withFileTypes: true})) {
    if (!entry.isSymbolicLink()) continue;
    const path = join(entry.parentPath, entry.name);
    const to = readlinkSync(path);
    if (!to.startsWith('/')) continue;
    rmSync(path);
    symlinkSync(relative(realpathSync(entry.parentPath), join(realpathSync(root), to)), path);
  }
}

async function make(suite: Suite): Promise<SuiteRoot> {
  const folder = join(cache, `debian-${suite}`);
  const listed = join(folder, 'versions.json');
  const root = join(folder, 'root');
  const read = (): SuiteRoot => ({root, versions: JSON.parse(readFileSync(listed, 'utf8')) as Record<string, string>});
  if (existsSync(listed)) return read();
  const fresh = `${folder}.${process.pid}`;
  const state = join(fresh, 'apt');
  try {
    mkdirSync(join(fresh, 'root'), {recursive: true});
    await download(suite, state);
    const versions = await unpack(join(state, 'packages'), join(fresh, 'root'));
    rmSync(state, {recursive: true, force: true});
    writeFileSync(join(fresh, 'versions.json'), JSON.stringify(versions));
    mkdirSync(dirname(folder), {recursive: true});
    if (!existsSync(folder)) renameSync(fresh, folder);
  } finally {
    rmSync(fresh, {recursive: true, force: true});
  }
  return read();
}

const roots = new Map<Suite, Promise<SuiteRoot>>();

/**
 * The C libraries and busybox of a release, fetched at the first wish and kept until the cache is deleted.
 * Rejects with NotMeasured when the release can't be reached.
 */
export async function suiteRoot(suite: Suite): Promise<SuiteRoot> {
  const known = roots.get(suite) ?? make(suite);
  roots.set(suite, known);
  return known;
}
