// Golden plans of other releases' C libraries and of older Go, fetched once: oldest to newest. What this machine runs:
// test/integration/plans.spec.ts.
//
//   UPDATE_GOLDEN=1 npx jest --selectProjects extended --testPathPatterns plans     writes test/golden/plans.json
import {join} from 'node:path';
import type {Suite} from '../support/debian';
import {suiteRoot} from '../support/debian';
import {builtByGo, expectGoldenPlan} from '../support/plans';

const GLIBC = 'usr/lib/x86_64-linux-gnu/libc.so.6';
/** Until 2.34 most calls that wait were twice: in libc and in here. */
const PTHREAD = 'usr/lib/x86_64-linux-gnu/libpthread.so.0';
const MUSL = 'usr/lib/x86_64-linux-musl/libc.so';
/** The oldest that this project promises, and one between. */
const GO: readonly string[] = ['go1.20.14', 'go1.22.12'];

const ofSuite = (suite: Suite, path: string) => async (): Promise<string> => join((await suiteRoot(suite)).root, path);

const corpus: Readonly<Record<string, () => Promise<string>>> = {
  'glibc of bullseye': ofSuite('bullseye', GLIBC),
  'libpthread of bullseye': ofSuite('bullseye', PTHREAD),
  'glibc of trixie': ofSuite('trixie', GLIBC),
  'glibc of sid': ofSuite('sid', GLIBC),
  'musl of bullseye': ofSuite('bullseye', MUSL),
  'musl of trixie': ofSuite('trixie', MUSL),
  'musl of sid': ofSuite('sid', MUSL),
  'static busybox of bullseye': ofSuite('bullseye', 'bin/busybox'),
  'static busybox of trixie': ofSuite('trixie', 'usr/bin/busybox'),
  ...Object.fromEntries(GO.map(toolchain => [`Go, ${toolchain}`, () => builtByGo(toolchain)])),
};

it.each(Object.entries(corpus))(
  '%s',
  async (name, find) => {
    await expectGoldenPlan(name, await find());
  },
  300_000,
);
