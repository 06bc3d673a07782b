// What goes through io_uring makes no system call. It is not seen, and that is said: before an attach, with it, and as soon
// as a scoped program begins to use it.
import type {InjectorReply} from '../support/injector';
import {injected} from '../support/injector';
import {faultsSince, footprint} from '../support/intact';
import {NotMeasured, measuredOrSaid} from '../support/not-measured';
import type {Program} from '../support/program';
import {Scope, ofKind, sum} from '../support/scope';
import {startTester} from '../support/servers';
import {Stage} from '../support/stage';
import {until} from '../support/until';

let stage: Stage;
let scope: Scope;
beforeEach(async () => {
  stage = new Stage();
  scope = await Scope.open(stage);
});
afterEach(async () => {
  await stage.close();
});

const rings = ({target}: InjectorReply): number | undefined => target?.ioUrings;

async function tester(): Promise<Program> {
  return (await startTester(stage, 'uring.c')).program;
}

/** The ring's descriptor. */
async function makeRing(program: Program): Promise<number> {
  program.send('make');
  const line = await program.line();
  const [, fd] = /^made (\d+)$/.exec(line) ?? [];
  if (fd === undefined) throw new NotMeasured(`io_uring_setup(2) answers ${line.replace('no ring ', '')}`);
  return Number(fd);
}

it('a process that uses it: check, inspect, attach, ps and history say so; its input and output is not seen', async () => {
  await measuredOrSaid('io_uring', async () => {
    const program = await tester();
    const {pid} = program;
    expect(rings(await injected('check', pid))).toBe(0);
    await makeRing(program);
    expect(rings(await injected('check', pid))).toBe(1);
    const check = await scope.command(['check', String(pid)]);
    expect(check).toMatchObject({code: 0});
    expect(check.stdout).toMatch(/^io_uring +used: what goes through it is not seen$/m);

    const before = footprint(pid);
    const attach = await scope.command(['attach', String(pid), '--capture', 'fs']);
    expect(attach.stdout).toMatch(
      new RegExp(`^WARNING: Process ${pid} \\(.*\\) uses io_uring: .* is not seen\\.$`, 'm'),
    );
    expect((await scope.command(['ps', '--scoped'])).stdout).toMatch(new RegExp(`^${pid} .* PartlySeen `, 'm'));
    expect((await scope.command(['inspect', String(pid)])).stdout).toMatch(/^io_uring +used/m);
    await program.ask('write', 'written');
    const session = await scope.detach(pid);
    expect(session.problems).toMatchObject([{reason: 'PartlySeen'}]);
    const files = scope.events(session).filter(ofKind('fs.close'));
    const null_ = files.filter(({attributes}) => attributes['file.path'] === '/dev/null');
    expect([null_.length, sum(null_, 'scope.fs.write.bytes')]).toEqual([1, 0]);
    expect((await scope.command(['history', 'show', session.id])).stdout).toMatch(/^Problem +PartlySeen: /m);
    expect(faultsSince(before, {descriptors: 'ours'})).toEqual([]);
    await program.ask('write', 'written');
  });
});

it('a ring whose descriptor is closed is found by its mappings', async () => {
  await measuredOrSaid('io_uring', async () => {
    const program = await tester();
    await makeRing(program);
    await program.ask('forget', 'forgotten');
    expect(rings(await injected('check', program.pid))).toBe(1);
  });
});

it('a scoped process that begins to use it has a problem from then on', async () => {
  await measuredOrSaid('io_uring', async () => {
    const program = await tester();
    const begun = await scope.attach(program.pid, '--capture', 'fs');
    expect(begun.problems).toEqual([]);
    const fd = await makeRing(program);
    await program.ask('write', 'written');
    await until('the problem', async () => (await scope.session(begun.id)).problems.length > 0);
    const session = await scope.detach(program.pid);
    expect(session).toMatchObject({problems: [{reason: 'PartlySeen'}], counts: {lost: 0}});
    const known = scope.events(session).filter(({attributes}) => attributes['scope.fd'] === fd);
    expect(known).toMatchObject([{event: 'fs.close', attributes: {'file.path': 'anon_inode:[io_uring]'}}]);
  });
});
