import {FakeClock, ScopeError} from '@scope/core';
import {FakeNativeHub} from '@scope/native';
import {FakeFollower} from './follower/follower.fake';
import {FakeInjector} from './injector/injector.fake';
import type {InjectorReport} from './injector/injector.port';
import {FakeJournal} from './journal.fake';
import {FakeProcessTable, fakeProcess} from './proc/process-table.fake';
import type {AttachRequest, SessionView} from './session';
import {SessionService} from './session-service';
import {FakeSessionStreams} from './session-stream.fake';

const AGENT = {pid: 500, startTime: '50'};

function setUp() {
  const parts = {
    clock: new FakeClock(1_800_000_000_000),
    processes: new FakeProcessTable(fakeProcess({pid: 7}), fakeProcess({...AGENT})),
    injector: new FakeInjector(),
    follower: new FakeFollower(),
    native: new FakeNativeHub(),
    streams: new FakeSessionStreams(),
    journal: new FakeJournal([]),
  };
  const unmapped = new Set<string>();
  const service = new SessionService({...parts, uid: 0, agent: AGENT, isMapped: file => !unmapped.has(file)});
  /** A child that the follower has scoped. */
  const born = async (pid: number, cause: 'birth' | 'exec' = 'birth'): Promise<void> => {
    parts.processes.set(fakeProcess({pid, name: `child${pid}`, parentPid: 7, tracerPid: 600}));
    parts.injector.attached.add(pid);
    parts.follower.tell({event: 'attached', pid, parent: 7, cause, report: report(pid)});
    await settle();
  };
  const live = (): SessionView[] => service.sessions().filter(({endedAt}) => endedAt === undefined);
  const of = (pid: number): SessionView | undefined => service.sessions().find(view => view.pid === pid);
  return {...parts, service, unmapped, born, live, of};
}

const report = (pid: number, ring = '7f00-7f10'): InjectorReport => ({
  abi: 1,
  pid,
  startTime: '1000',
  ring: {address: '0x7f00', bytes: 4096, mapFile: `/proc/${pid}/map_files/${ring}`},
  target: {kind: 'glibc-dynamic', threads: 1, ioUrings: 0},
  sites: {found: 530, hooked: 121, skipped: []},
  stopMicroseconds: 100,
  isOfAnotherBuild: false,
  raw: {},
});
const request = (more: Partial<AttachRequest> = {}): AttachRequest => ({
  pid: 7,
  capture: {fs: {}},
  owner: 'cli',
  children: true,
  ...more,
});
const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('a session whose children are scoped', () => {
  it('is followed once it is scoped; one that does not ask is not', async () => {
    const {service, follower, injector} = setUp();
    const view = await service.attach(request());
    expect([injector.calls, follower.calls, view.children]).toEqual([['attach 7'], ['follow 7'], true]);
    const other = setUp();
    const plain = await other.service.attach({pid: 7, capture: {fs: {}}, owner: 'cli'});
    expect([other.follower.calls, plain]).toEqual([[], expect.not.objectContaining({children: true})]);
  });

  it('that can not be followed is let go again, with the reason', async () => {
    const {service, follower, injector, live} = setUp();
    follower.refusal = new ScopeError('AlreadyTraced', 'gdb');
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'AlreadyTraced'});
    expect([injector.calls, live()]).toEqual([['attach 7', 'detach 7'], []]);
  });

  it('gives each child a session of its own, which begins once its ring is read', async () => {
    const {service, follower, native, journal, born, of} = setUp();
    const root = await service.attach(request({identity: {pod: 'p'}, historyDirectory: '/h'}));
    await born(8);
    expect(of(8)).toMatchObject({
      state: 'Scoped',
      owners: ['cli'],
      capture: {fs: {}},
      process: {pid: 8, name: 'child8', pod: 'p'},
      childOf: {session: root.id, parentPid: 7},
    });
    expect(native.sessions[1]).toMatchObject({config: {pid: 8, held: true, born: true}});
    expect(follower.calls).toEqual(['follow 7', 'go 8']);
    expect(journal.entries().map(({pid}) => pid)).toEqual([7, 8]);
  });

  it('lets a child go on also where its session could not begin, and takes the scope out again', async () => {
    const {service, follower, streams, injector, born, of} = setUp();
    const root = await service.attach(request());
    streams.refusal = new ScopeError('DiskFull', 'full');
    await born(8);
    expect(follower.calls).toEqual(['follow 7', 'release 8', 'go 8']);
    expect(injector.calls).toEqual(['attach 7', 'detach 8']);
    expect(of(8)).toMatchObject({state: 'Failed', error: {reason: 'DiskFull'}});
    expect(service.session(root.id)?.problems).toMatchObject([{reason: 'DiskFull'}]);
  });

  it('reads the new ring of a child that executes; the decoder’s news of it changes nothing', async () => {
    const {service, follower, native, injector, born, of} = setUp();
    await service.attach(request());
    await born(8);
    follower.tell({event: 'exec', pid: 8});
    native.sessions[1]?.end('exec');
    await settle();
    expect(of(8)?.state).toBe('Scoped');
    follower.tell({event: 'attached', pid: 8, parent: 7, cause: 'exec', report: report(8, 'aaaa-bbbb')});
    await settle();
    expect(native.sessions[2]?.config).toMatchObject({ring: '/proc/8/map_files/aaaa-bbbb'});
    expect(native.sessions[2]?.config.born).toBeUndefined();
    expect(follower.calls).toEqual(['follow 7', 'go 8', 'go 8']);
    expect(injector.calls).toEqual(['attach 7']);
  });

  it('ends a child’s session whose new program can not be scoped, with the reason', async () => {
    const {service, follower, born, of} = setUp();
    const root = await service.attach(request());
    await born(8);
    const error = new ScopeError('ThirtyTwoBit', '32');
    follower.tell({event: 'refused', pid: 8, parent: 7, cause: 'exec', error});
    await settle();
    expect(of(8)).toMatchObject({state: 'Failed', error: {reason: 'ThirtyTwoBit'}});
    expect(service.session(root.id)?.problems).toMatchObject([{reason: 'ThirtyTwoBit'}]);
  });

  it('detached, ends the follower first, then its children’s sessions', async () => {
    const {service, follower, injector, born, live} = setUp();
    const root = await service.attach(request());
    await born(8);
    await service.detach(root.id);
    expect(follower.calls).toEqual(['follow 7', 'go 8', 'close 7']);
    expect(injector.calls).toEqual(['attach 7', 'detach 8', 'detach 7']);
    expect(live()).toEqual([]);
  });

  it('keeps a child’s session for whoever else claims it', async () => {
    const {service, born, live} = setUp();
    const root = await service.attach(request());
    await born(8);
    await service.attach(request({pid: 8, owner: 'other', children: false}));
    await service.detach(root.id);
    expect(live()).toMatchObject([{pid: 8, owners: ['other']}]);
  });

  it('is one claim: asking for a child that it has brings no error', async () => {
    const {service, born, of} = setUp();
    await service.attach(request());
    await born(8);
    expect(await service.attach(request({pid: 8, children: false}))).toMatchObject({id: of(8)?.id});
  });

  it('has a child whose session is about to begin: who asks for it waits a moment', async () => {
    const {service, processes, clock, born, of} = setUp();
    await service.attach(request());
    processes.set(fakeProcess({pid: 8, name: 'child8', parentPid: 7, tracerPid: 600}));
    const asked = service.attach(request({pid: 8, owner: 'other', children: false}));
    await born(8);
    await clock.advance(250);
    expect(await asked).toMatchObject({id: of(8)?.id, owners: ['cli', 'other']});
  });

  it('lets one child go by itself', async () => {
    const {service, follower, injector, born, of, live} = setUp();
    await service.attach(request());
    await born(8);
    await service.detach(of(8)?.id ?? '');
    expect(follower.calls).toEqual(['follow 7', 'go 8', 'release 8']);
    expect(injector.calls).toEqual(['attach 7', 'detach 8']);
    expect(live()).toMatchObject([{pid: 7}]);
  });

  it('stays followed as long as one of its owners wants the children', async () => {
    const {service, follower, born, live, of} = setUp();
    const root = await service.attach(request({children: false}));
    await service.attach(request({owner: 'other'}));
    await born(8);
    expect(of(8)?.owners).toEqual(['other']);
    await service.detach(root.id, 'other');
    expect(follower.calls).toEqual(['follow 7', 'go 8', 'close 7']);
    expect(live()).toMatchObject([{pid: 7, owners: ['cli']}]);
  });

  it('tells of the follower’s death on every session; what executes from then on is attached to anew', async () => {
    const {service, follower, injector, unmapped, clock, born, live} = setUp();
    await service.attach(request());
    await born(8);
    follower.die(new ScopeError('InternalError', 'killed'));
    await settle();
    expect(live().map(({problems}) => problems)).toMatchObject([[{message: 'killed'}], [{message: 'killed'}]]);
    unmapped.add('/proc/8/map_files/7f00-7f10');
    await clock.advance(500);
    await settle();
    expect(injector.calls).toEqual(['attach 7', 'attach 8']);
  });

  it('tells how many found no place', async () => {
    const {service, follower} = setUp();
    const root = await service.attach(request());
    for (const passed of [1, 2]) follower.tell({event: 'passed', pid: 8 + passed, parent: 7, passed});
    expect(service.session(root.id)?.problems).toMatchObject([
      {message: expect.stringMatching(/^2 children/) as string},
    ]);
  });

  it('that is over leaves its children’s sessions, until the agent ends', async () => {
    const {service, follower, injector, processes, clock, born, live} = setUp();
    await service.attach(request());
    await born(8);
    processes.remove(7);
    await clock.advance(500);
    await settle();
    expect(live()).toMatchObject([{pid: 8, state: 'Scoped'}]);
    await born(9);
    expect(live()).toHaveLength(2);
    await service.close();
    expect(live()).toEqual([]);
    expect(follower.calls.at(-1)).toBe('close 7');
    expect(injector.calls).toEqual(['attach 7', 'detach 8', 'detach 9']);
  });

  it('hands its deadline on: what is left of it', async () => {
    const {service, clock, born, live} = setUp();
    await service.attach(request({activeDeadlineSeconds: 60}));
    await clock.advance(20_000);
    await born(8);
    await clock.advance(39_000);
    expect(live()).toHaveLength(2);
    await clock.advance(2_000);
    await settle();
    expect(live()).toEqual([]);
  });
});
