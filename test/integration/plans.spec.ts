// Golden plans of what this machine runs; of other releases: test/extended/plans.spec.ts.
//
//   UPDATE_GOLDEN=1 npx jest --selectProjects integration --testPathPatterns plans     writes test/golden/plans.json
import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {builtByGo, expectGoldenPlan} from '../support/plans';

/** The libc that this machine runs. */
function ownLibc(): string {
  const folder = ['/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu'].find(path =>
    readdirSync(path).includes('libc.so.6'),
  );
  if (folder === undefined) throw new Error('this machine has no libc.so.6 where Debian puts it');
  return join(folder, 'libc.so.6');
}

function ownMusl(): string {
  const path = '/usr/lib/x86_64-linux-musl/libc.so';
  if (!existsSync(path)) throw new Error('musl is not installed: apt-get install musl-tools');
  return path;
}

const corpus: Readonly<Record<string, () => string | Promise<string>>> = {
  'glibc of this machine': ownLibc,
  'musl of this machine': ownMusl,
  'Go, local': () => builtByGo('local'),
};

it.each(Object.entries(corpus))('%s', async (name, find) => {
  await expectGoldenPlan(name, await find());
});
