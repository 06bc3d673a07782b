import {FakeClock, ScopeError} from '@scope/core';
import {FakeNativeHub} from '@scope/native';
import {FakeFollower} from './follower/follower.fake';
import {FakeInjector} from './injector/injector.fake';
import {FakeJournal} from './journal.fake';
import type {JournalEntry, SavedSession} from './journal.port';
import {FakeProcessTable, fakeProcess} from './proc/process-table.fake';
import type {AttachRequest, SessionView} from './session';
import {SessionService} from './session-service';
import {FakeSessionStreams} from './session-stream.fake';

const AGENT = {pid: 500, startTime: '50'};

function setUp({uid = 0, entries = [] as JournalEntry[]} = {}) {
  const parts = {
    clock: new FakeClock(1_800_000_000_000),
    processes: new FakeProcessTable(fakeProcess({pid: 7}), fakeProcess({pid: 8}), fakeProcess({...AGENT})),
    injector: new FakeInjector(),
    follower: new FakeFollower(),
    native: new FakeNativeHub(),
    streams: new FakeSessionStreams(),
    journal: new FakeJournal(entries),
  };
  const unmapped = new Set<string>();
  const service = new SessionService({...parts, uid, agent: AGENT, isMapped: file => !unmapped.has(file)});
  const states: string[] = [];
  service.changes$.subscribe(({state}) => states.push(state));
  return {...parts, service, states, unmapped};
}

const request = (more: Partial<AttachRequest> = {}): AttachRequest => ({
  pid: 7,
  capture: {fs: {}},
  owner: 'cli',
  ...more,
});
const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('an attach', () => {
  it('goes through its states and says what was done', async () => {
    const {service, states, injector, journal, native} = setUp();
    const view = await service.attach(request({identity: {pod: 'p', namespace: 'n'}}));
    expect(states).toEqual(['Planning', 'Attaching', 'Scoped']);
    expect(view).toMatchObject({
      state: 'Scoped',
      owners: ['cli'],
      process: {pid: 7, name: 'server', executable: '/usr/bin/server', pod: 'p', namespace: 'n'},
      attachment: {kind: 'glibc-dynamic', stopMicroseconds: 812, sites: {found: 530, hooked: 121}},
    });
    expect(injector.calls).toEqual(['attach 7']);
    expect(journal.entries()).toMatchObject([
      {pid: 7, startTime: '1000', enter: false, agentPid: 500, agentStartTime: '50', session: {id: view.id}},
    ]);
    expect(native.sessions[0]?.config).toMatchObject({process: {pod: 'p'}, capture: {fs: {}}});
  });

  it.each([
    ['a pid that nobody has', request({pid: 99}), 'NoSuchProcess'],
    ['0', request({pid: 0}), 'InvalidArgument'],
    ['another process of that pid', request({startTime: '1'}), 'PIDReused'],
    ['the agent itself', request({pid: AGENT.pid}), 'InvalidArgument'],
  ])('of %s is refused before anything is started', async (_, wish, reason) => {
    const {service, injector, streams} = setUp();
    await expect(service.attach(wish)).rejects.toMatchObject({reason});
    expect([injector.calls, streams.opened, service.sessions()]).toEqual([[], [], []]);
  });

  it('of a process that uses io_uring says what is not seen, at once or as soon as it begins to', async () => {
    const {service, injector, native, clock} = setUp();
    injector.ioUrings = 1;
    expect(await service.attach(request())).toMatchObject({state: 'Scoped', problems: [{reason: 'PartlySeen'}]});
    injector.ioUrings = 0;
    const later = await service.attach(request({pid: 8}));
    expect(later.problems).toEqual([]);
    const [, session] = native.sessions;
    if (session !== undefined) session.ioUrings = 1;
    await clock.advance(1000);
    expect(service.session(later.id)?.problems).toMatchObject([{reason: 'PartlySeen'}]);
  });

  it('without root is refused before anything is started', async () => {
    const {service, injector} = setUp({uid: 1000});
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'NotRoot', exitCode: 77});
    expect(injector.calls).toEqual([]);
  });

  it('whose history can not be written does not touch the process', async () => {
    const {service, injector, streams} = setUp();
    streams.refusal = new ScopeError('DiskFull', 'full');
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'DiskFull'});
    expect(injector.calls).toEqual([]);
    expect(service.sessions()).toMatchObject([{state: 'Failed', error: {reason: 'DiskFull'}}]);
  });

  it('that the injector refuses fails with its reason: nothing is left to mend', async () => {
    const {service, injector, journal, streams} = setUp();
    injector.refusals.set('attach', new ScopeError('NoHookableSites', 'none'));
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'NoHookableSites'});
    expect(injector.calls).toEqual(['attach 7']);
    expect([journal.entries(), streams.opened[0]?.isClosed]).toEqual([[], true]);
  });

  it.each(['Timeout', 'InternalError'] as const)('that ends in %s is mended by a detach', async reason => {
    const {service, injector, journal} = setUp();
    injector.refusals.set('attach', new ScopeError(reason, 'x'));
    await expect(service.attach(request())).rejects.toMatchObject({reason});
    expect(injector.calls).toEqual(['attach 7', 'detach 7']);
    expect(journal.entries()).toEqual([]);
  });

  it('of what is scoped by nobody who lives replaces what was left there', async () => {
    const {service, injector, clock} = setUp();
    injector.refusals.set('attach', new ScopeError('AlreadyScoped', 'scoped'));
    const attaching = service.attach(request({enter: true}));
    await settle();
    await clock.advance(250);
    await expect(attaching).resolves.toMatchObject({state: 'Scoped'});
    expect(injector.calls).toEqual(['attach 7', 'attach 7 anew']);
  });

  it('of what another agent reads is refused, and leaves that one alone', async () => {
    const {service, injector, clock, processes, journal} = setUp();
    injector.refusals.set('attach', new ScopeError('AlreadyScoped', 'scoped'));
    processes.readers.set(7, 600);
    const attaching = service.attach(request());
    await settle();
    await clock.advance(250);
    await expect(attaching).rejects.toMatchObject({reason: 'AlreadyScoped', details: {agent: 600}});
    expect(injector.calls).toEqual(['attach 7']);
    expect(journal.entries()).toEqual([]);
  });

  it('whose ring the decoder refuses takes the hooks out again', async () => {
    const {service, injector, native} = setUp();
    native.refusal = new ScopeError('ABIMismatch', 'old');
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'ABIMismatch'});
    expect(injector.attached.size).toBe(0);
  });

  it('can be tried again after a failure', async () => {
    const {service, injector} = setUp();
    injector.refusals.set('attach', new ScopeError('AlreadyTraced', 'gdb'));
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'AlreadyTraced'});
    expect((await service.attach(request())).state).toBe('Scoped');
  });
});

describe('several owners of one process', () => {
  it('share one attachment, which captures what either asks for', async () => {
    const {service, injector, native} = setUp();
    const first = await service.attach(request({owner: 'a'}));
    const second = await service.attach(request({owner: 'b', capture: {http: {}}}));
    expect(second).toMatchObject({id: first.id, owners: ['a', 'b'], capture: {fs: {}, http: {}}});
    expect(injector.calls).toEqual(['attach 7']);
    expect(native.sessions.map(({config}) => config.capture)).toEqual([{fs: {}}, {fs: {}, http: {}}]);
  });

  it('the same owner twice is AlreadyScoped', async () => {
    const {service} = setUp();
    await service.attach(request());
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'AlreadyScoped', exitCode: 5});
  });

  it('may ask at the same time: one attach, both Scoped', async () => {
    const {service, injector} = setUp();
    const views = await Promise.all(['a', 'b', 'c'].map(owner => service.attach(request({owner}))));
    expect(views.map(({state}) => state)).toEqual(['Scoped', 'Scoped', 'Scoped']);
    expect(injector.calls).toEqual(['attach 7']);
  });

  it('all fail when the one attach fails', async () => {
    const {service, injector} = setUp();
    injector.refusals.set('attach', new ScopeError('SeccompStrict', 'x'));
    const attempts = await Promise.allSettled(['a', 'b'].map(owner => service.attach(request({owner}))));
    expect(attempts.map(({status}) => status)).toEqual(['rejected', 'rejected']);
  });

  it('the last one to leave detaches', async () => {
    const {service, injector} = setUp();
    const {id} = await service.attach(request({owner: 'a'}));
    await service.attach(request({owner: 'b'}));
    expect(await service.detach(id, 'a')).toMatchObject({state: 'Scoped', owners: ['b']});
    expect(injector.calls).toEqual(['attach 7']);
    expect(await service.detach(id, 'b')).toMatchObject({state: 'Detached'});
    expect(injector.calls).toEqual(['attach 7', 'detach 7']);
  });

  it('the most generous rate limit holds; none when one has none', async () => {
    const {service, streams} = setUp();
    await service.attach(request({owner: 'a', rateLimit: {eventsPerSecond: 10}}));
    await service.attach(request({owner: 'b', rateLimit: {eventsPerSecond: 50}}));
    expect(streams.opened[0]?.rate).toEqual({eventsPerSecond: 50});
    const {id} = await service.attach(request({owner: 'c'}));
    expect(streams.opened[0]?.rate).toBeUndefined();
    await service.detach(id, 'c');
    expect(streams.opened[0]?.rate).toEqual({eventsPerSecond: 50});
  });
});

describe('an end', () => {
  it('reads what is left before it says Detached, and forgets the process', async () => {
    const {service, states, native, streams, journal} = setUp();
    const {id} = await service.attach(request());
    native.sessions[0]?.emit({event: 'fs.open'}, {event: 'fs.close'});
    const view = await service.detach(id);
    expect(view).toMatchObject({state: 'Detached', counts: {delivered: 2}});
    expect(streams.opened[0]?.told.map(({event}) => event)).toEqual(['process.scoped', 'process.unscoped']);
    expect(states.slice(3)).toEqual(['Detaching', 'Detached']);
    expect([native.sessions[0]?.isOver, streams.opened[0]?.isClosed, journal.entries()]).toEqual([true, true, []]);
    expect(streams.opened[0]?.views.at(-1)).toMatchObject({state: 'Detached', counts: {delivered: 2}});
  });

  it('of a session that nobody has, or that is over, says so', async () => {
    const {service} = setUp();
    await expect(service.detach('x')).rejects.toMatchObject({reason: 'NoSuchSession'});
    const {id} = await service.attach(request());
    await service.detach(id);
    await expect(service.detach(id)).rejects.toMatchObject({reason: 'NotScoped'});
  });

  it('by the process itself is noticed by the decoder…', async () => {
    const {service, native, injector, journal} = setUp();
    const {id} = await service.attach(request());
    native.sessions[0]?.end('exited');
    await settle();
    expect(service.session(id)?.state).toBe('Exited');
    expect([injector.calls, journal.entries()]).toEqual([['attach 7'], []]);
  });

  it('…or by its start time', async () => {
    const {service, processes, clock} = setUp();
    const {id} = await service.attach(request());
    processes.set(fakeProcess({pid: 7, startTime: '2000'}));
    await clock.advance(500);
    await settle();
    expect(service.session(id)?.state).toBe('Exited');
  });

  it('that the injector fails is tried once more, then Failed and kept in the journal', async () => {
    const {service, injector, clock, journal} = setUp();
    const {id} = await service.attach(request());
    const fail = (): void => void injector.refusals.set('detach', new ScopeError('Timeout', 'slow'));
    fail();
    const ending = service.detach(id).catch((thrown: unknown) => thrown);
    await settle();
    fail();
    await clock.advance(250);
    expect(await ending).toMatchObject({reason: 'Timeout'});
    expect(service.session(id)).toMatchObject({state: 'Failed', error: {reason: 'Timeout'}});
    expect(journal.entries()).toHaveLength(1);
  });

  it('comes by itself at the deadline', async () => {
    const {service, clock} = setUp();
    const {id} = await service.attach(request({activeDeadlineSeconds: 60}));
    await clock.advance(59_000);
    await settle();
    expect(service.session(id)?.state).toBe('Scoped');
    await clock.advance(1000);
    await settle();
    expect(service.session(id)?.state).toBe('Detached');
  });

  it('while another attach comes: the new one waits and gets a session of its own', async () => {
    const {service} = setUp();
    const {id} = await service.attach(request());
    const ending = service.detach(id);
    const next = await service.attach(request());
    await ending;
    expect(next.id).not.toBe(id);
    expect(next.state).toBe('Scoped');
  });

  it('of everything: close detaches from all and takes no more', async () => {
    const {service, injector} = setUp();
    await service.attach(request());
    await service.attach(request({pid: 8}));
    await service.close();
    expect(injector.attached.size).toBe(0);
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'AgentUnavailable'});
  });
});

describe('a program that replaces itself', () => {
  const reports: [string, (parts: ReturnType<typeof setUp>) => Promise<void>][] = [
    ['by the decoder', ({native}) => Promise.resolve(native.sessions[0]?.end('exec'))],
    [
      'by the mapping that is gone',
      async ({unmapped, clock}) => {
        unmapped.add('/proc/7/map_files/7f0000000000-7f0000001000');
        await clock.advance(500);
        unmapped.clear();
      },
    ],
  ];
  it.each(reports)('is attached to anew under its new name (noticed %s)', async (_, happen) => {
    const parts = setUp();
    const {service, injector, processes, native} = parts;
    const {id} = await service.attach(request());
    processes.set(fakeProcess({pid: 7, name: 'other', executable: '/usr/bin/other'}));
    await happen(parts);
    await settle();
    expect(injector.calls).toEqual(['attach 7', 'attach 7']);
    expect(service.session(id)).toMatchObject({state: 'Scoped', process: {name: 'other'}});
    expect(native.sessions[1]?.config.process.executable).toBe('/usr/bin/other');
  });
});

describe('what the agent before left', () => {
  const session: SavedSession = {
    id: 'server-7-x',
    name: 'server',
    executable: '/usr/bin/server',
    createdAt: '2026-01-01T00:00:00.000Z',
    scopedAt: '2026-01-01T00:00:01.000Z',
    claims: [{request: {pid: 7, owner: 'cli', capture: {net: {}}, historyDirectory: '/h'}}],
  };
  const left: JournalEntry = {pid: 7, startTime: '1000', enter: false, agentPid: 400, agentStartTime: '40', session};

  /** `is`: what the process is like that it had scoped. */
  const afterDeath = (entry: JournalEntry = left) => {
    const parts = setUp({entries: [entry]});
    parts.injector.attached.add(7);
    return parts;
  };

  it('goes on as the same session, and the process is not touched', async () => {
    const {service, injector, journal, native, streams, states} = afterDeath();
    expect(await service.recover()).toMatchObject([
      {id: session.id, state: 'Scoped', owners: ['cli'], createdAt: session.createdAt, scopedAt: session.scopedAt},
    ]);
    expect([injector.calls, states]).toEqual([['adopt 7'], ['Scoped']]);
    expect(streams.opened[0]?.request).toMatchObject({
      resumes: true,
      historyDirectory: '/h',
      marks: '/state/7-1000.marks',
    });
    expect(native.sessions[0]?.config).toMatchObject({
      capture: {net: {}},
      cursor: '/state/7-1000.cursor',
      resume: {},
    });
    expect(journal.entries()).toMatchObject([{agentPid: AGENT.pid, session: {id: session.id}}]);
    await expect(service.attach(request())).rejects.toMatchObject({reason: 'AlreadyScoped'});
    expect(await service.detach(session.id)).toMatchObject({state: 'Detached'});
    expect([injector.attached.size, journal.entries()]).toEqual([0, []]);
  });

  it('ends at the deadline that it had', async () => {
    const deadline = new Date(1_800_000_000_000 + 5000).toISOString();
    const claims = session.claims.map(claim => ({...claim, deadline}));
    const {service, clock} = afterDeath({...left, session: {...session, claims}});
    await service.recover();
    await clock.advance(4000);
    await settle();
    expect(service.session(session.id)?.state).toBe('Scoped');
    await clock.advance(1000);
    await settle();
    expect(service.session(session.id)?.state).toBe('Detached');
  });

  it('by another version is replaced, and its gap is told', async () => {
    const {service, injector, streams} = afterDeath();
    injector.refusals.set('adopt', new ScopeError('ABIMismatch', 'layout 9'));
    expect(await service.recover()).toMatchObject([{id: session.id, state: 'Scoped'}]);
    expect(injector.calls).toEqual(['adopt 7', 'attach 7 anew']);
    expect(streams.opened[0]?.told).toMatchObject([
      {event: 'scope.lost', attributes: {'scope.lost.exact': false, 'scope.reason': 'ABIMismatch'}},
      {event: 'process.scoped'},
    ]);
  });

  it('by another build is read to its end before it is replaced', async () => {
    const {service, injector, native, streams} = afterDeath();
    injector.isOfAnotherBuild = true;
    expect(await service.recover()).toMatchObject([{id: session.id, state: 'Scoped'}]);
    expect(injector.calls).toEqual(['adopt 7', 'attach 7 anew']);
    expect(native.sessions.map(({config, isOver}) => [config.resume, isOver])).toEqual([
      [{}, true],
      [undefined, false],
    ]);
    expect(streams.opened[0]?.told.map(({event}) => event)).toEqual(['scope.lost', 'process.scoped']);
  });

  it('in a program that was replaced meanwhile is put into the new one', async () => {
    const {service, injector} = setUp({entries: [left]});
    expect(await service.recover()).toMatchObject([{id: session.id, state: 'Scoped'}]);
    expect(injector.calls).toEqual(['adopt 7', 'attach 7 anew']);
  });

  it.each([
    ['has ended', '7', undefined],
    ['is another one by now', '7', '2000'],
  ])('in a process that %s ends as Exited, and that pid is left alone', async (_, pid, startTime) => {
    const {service, injector, journal, processes} = afterDeath();
    if (startTime === undefined) processes.remove(Number(pid));
    else processes.set(fakeProcess({pid: Number(pid), startTime}));
    expect(await service.recover()).toMatchObject([{id: session.id, state: 'Exited'}]);
    expect([injector.calls, journal.entries(), service.liveCount()]).toEqual([[], [], 0]);
  });

  it('and another agent reads by now is that one’s', async () => {
    const {service, injector, processes, journal} = afterDeath();
    processes.readers.set(7, 600);
    expect(await service.recover()).toMatchObject([{state: 'Failed', error: {reason: 'AlreadyScoped'}}]);
    expect([injector.calls, journal.entries()]).toEqual([[], []]);
  });

  it('is left alone while that agent lives', async () => {
    const {service, injector} = setUp({entries: [{...left, agentPid: 8, agentStartTime: '1000'}]});
    expect(await service.recover()).toEqual([]);
    expect(injector.calls).toEqual([]);
  });

  const begun = {...left, session: (({scopedAt: _scopedAt, ...rest}) => rest)(session)};
  const old = (({session: _session, ...rest}) => rest)(left);
  it.each([
    ['was never finished', begun],
    ['nobody knows the purpose of', old],
  ])('as an attach that %s is let go', async (_, entry) => {
    const {service, injector, journal} = afterDeath(entry);
    expect(await service.recover()).toEqual([]);
    expect([injector.calls, injector.attached.size, journal.entries()]).toEqual([['detach 7'], 0, []]);
  });

  it('is waited for while the tracer of that agent lets go', async () => {
    const {service, injector, processes, clock} = afterDeath();
    processes.set(fakeProcess({pid: 7, tracerPid: 600}));
    const recovered = service.recover();
    await settle();
    await clock.advance(100);
    await settle();
    expect(injector.calls).toEqual([]);
    processes.set(fakeProcess({pid: 7}));
    await clock.advance(100);
    expect(await recovered).toMatchObject([{id: session.id, state: 'Scoped'}]);
    expect(injector.calls).toEqual(['adopt 7']);
  });

  it('is followed again as soon as that tracer has let all of its threads go', async () => {
    const claims = session.claims.map(({request: wish}) => ({request: {...wish, children: true}}));
    const {service, follower, clock} = afterDeath({...left, session: {...session, claims}});
    follower.refusal = new ScopeError('MissingCapability', 'another tracer may have it');
    const recovered = service.recover();
    await settle();
    await clock.advance(100);
    expect(await recovered).toMatchObject([{id: session.id, state: 'Scoped'}]);
    expect(follower.calls).toEqual(['follow 7', 'follow 7']);
    expect(service.session(session.id)).toMatchObject({state: 'Scoped', children: true});
  });

  it('and is traced by one that stays is not waited for any longer', async () => {
    const {service, injector, processes, clock} = afterDeath();
    processes.set(fakeProcess({pid: 7, tracerPid: 600}));
    injector.refusals.set('adopt', new ScopeError('AlreadyTraced', 'gdb'));
    const recovered = service.recover();
    for (let i = 0; i < 51; i += 1) {
      await settle();
      await clock.advance(100);
    }
    expect(await recovered).toMatchObject([{state: 'Failed', error: {reason: 'AlreadyTraced'}}]);
  });

  it('stays in the journal when it could not be let go', async () => {
    const {service, injector, journal} = afterDeath(begun);
    injector.refusals.set('detach', new ScopeError('Timeout', 'slow'));
    await service.recover();
    expect(journal.entries()).toEqual([begun]);
  });
});

it('an agent that another one follows leaves its sessions in place, read and written down to their end', async () => {
  const {service, injector, native, streams, journal} = setUp();
  const {id} = await service.attach(request());
  await service.close({leave: true});
  expect([injector.calls, native.sessions[0]?.isOver, streams.opened[0]?.isClosed]).toEqual([['attach 7'], true, true]);
  expect(journal.entries()).toMatchObject([{pid: 7, session: {id}}]);
  expect(streams.opened[0]?.told.map(({event}) => event)).toEqual(['process.scoped']);
});

it('ids are safe as names of folders', async () => {
  const {service, processes} = setUp();
  processes.set(fakeProcess({pid: 9, name: '../a b'}));
  const {id}: SessionView = await service.attach(request({pid: 9}));
  expect(id).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/);
});
