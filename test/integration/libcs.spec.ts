// A C program with each kind of C library, dynamic and static, under load: every byte that it counted itself was seen, and
// it is found as it was. More of them, and of other languages: test/extended/kinds.spec.ts.
import {libcs} from '../support/libcs';
import {measureTester, testerArgs} from '../support/measure';
import {Program} from '../support/program';
import {Scope} from '../support/scope';
import {Stage} from '../support/stage';

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.close();
});

it.each(['glibc', 'glibc-static', 'musl', 'musl-static'] as const)(
  '%s: every byte that it moved was seen',
  async kind => {
    const libc = await libcs[kind]();
    const scope = await Scope.open(stage);
    const folder = stage.folder();
    const file = await libc.compile('ledger.c');
    const program = stage.use(await Program.start(file, {args: testerArgs(folder), cwd: folder, name: 'ledger'}));
    await program.answer('ready');
    const {bytes, faults} = await measureTester(scope, {program, pid: program.pid, folder});
    expect(faults).toEqual([]);
    expect(bytes).toBeGreaterThan(0);
  },
);
