// Packages and sources of this machine's Debian release, fetched by apt with a state of its own into the cache.
import {existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {cache} from '../support/compile';
import {KEYRING, apt, mirrors} from '../support/debian';
import {NotMeasured} from '../support/not-measured';

/** Folder with the files that apt-get `verb` NAMES leaves there. Rejects with NotMeasured where they can't be had. */
export async function debianFiles(verb: 'download' | 'source', ...names: readonly string[]): Promise<string> {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  if (release === undefined || !existsSync(KEYRING)) throw new NotMeasured('this is no Debian');
  const folder = join(cache, 'suites', `${release}-${verb}-${names.join('-')}`);
  if (existsSync(folder)) return folder;
  const state = `${folder}.${process.pid}`;
  try {
    for (const path of ['lists/partial', 'cache/archives/partial', 'packages'])
      mkdirSync(join(state, path), {recursive: true});
    writeFileSync(join(state, 'status'), '');
    await fetchFrom(state, release, verb, names);
    mkdirSync(dirname(folder), {recursive: true});
    renameSync(join(state, 'packages'), folder);
  } finally {
    rmSync(state, {recursive: true, force: true});
  }
  return folder;
}

async function fetchFrom(state: string, release: string, verb: string, names: readonly string[]): Promise<void> {
  const said: string[] = [];
  const kind = verb === 'source' ? 'deb-src' : 'deb';
  for (const mirror of mirrors()) {
    const line = (address: string, suite: string): string =>
      `${kind} [signed-by=${KEYRING}] ${address} ${suite} main\n`;
    const lines = line(mirror, release) + line(`${mirror}-security`, `${release}-security`);
    writeFileSync(join(state, 'sources.list'), lines);
    const update = await apt(state, 'update');
    const flags = verb === 'source' ? ['--download-only'] : [];
    const fetched = update.code === 0 ? await apt(state, verb, ...flags, ...names) : update;
    if (fetched.code === 0 && readdirSync(join(state, 'packages')).length > 0) return;
    said.push(`${mirror}: ${fetched.stderr.trim().split('\n').at(-1) ?? ''}`);
  }
  throw new NotMeasured(`${names.join(', ')} of Debian ${release} can't be had: ${said.join('; ')}`);
}

/** The one file of a folder whose name matches. */
export function fileIn(folder: string, name: RegExp): string {
  const found = readdirSync(folder).find(file => name.test(file));
  if (found === undefined) throw new Error(`${folder} holds no ${String(name)}`);
  return join(folder, found);
}
