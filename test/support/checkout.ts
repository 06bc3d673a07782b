import {existsSync, statSync} from 'node:fs';
import {dirname, join} from 'node:path';

/** The checkout: the nearest folder above this file (or the bundle made of it) that holds the native sources. */
export const checkout: string = (() => {
  for (let folder = __dirname; folder !== '/'; folder = dirname(folder)) {
    if (existsSync(join(folder, 'native/abi/scope_abi.h'))) return folder;
  }
  throw new Error(`${__dirname} does not lie in a checkout`);
})();

/** The youngest of `candidates`, relative to the checkout, of those that exist; the error says how to make one. */
function built(what: string, ...candidates: readonly string[]): string {
  const [found] = candidates
    .map(path => join(checkout, path))
    .filter(path => existsSync(path))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (found === undefined) throw new Error(`${what} is not built (${candidates.join(', ')}): run \`npm run build\``);
  return found;
}

/** What `npm run build` makes. Each throws while it is not there. */
export const product = {
  injector: (): string =>
    built('the injector', 'dist/native/scope-inject', 'native/target/x86_64-unknown-linux-gnu/release/scope-inject'),
  agent: (): string => built('the agent', 'dist/agent.cjs'),
  command: (): string => built('the command', 'bin/scope'),
};
