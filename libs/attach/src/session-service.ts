import type {Observable} from 'rxjs';
import {Subject} from 'rxjs';
import {ScopeError} from '@scope/core';
import {AttachService} from './attach.port';
import type {SessionPorts} from './attach-session';
import {AttachSession} from './attach-session';
import {checkPid} from './discovery';
import {Family} from './family';
import type {Follower} from './follower/follower.port';
import type {JournalEntry, SavedSession} from './journal.port';
import {alreadyScoped, noSuchProcess, refuseProcess, refuseRights} from './refusals';
import type {AttachRequest, SessionView} from './session';

export interface SessionServiceOptions extends SessionPorts {
  readonly follower: Follower;
  /** Effective user id of this program. */
  readonly uid: number;
  /** True while the ring is still mapped in the process: false after an execve. */
  readonly isMapped: (mapFile: string) => boolean;
}

const WATCH_MS = 500;
const BEGINNING_MS = 250;
const ENDED_KEPT = 100;
/** The tracer of an agent that died ends by itself: it takes up to two seconds to let go, of one thread after the other. */
const LET_GO_MS = 5000;
const LOOK_MS = 100;
/** What following a thread is refused with that somebody else traces. */
const IS_HELD = new Set(['AlreadyTraced', 'MissingCapability']);

/** Every session of this agent: one per process, whoever asks for it. */
export class SessionService extends AttachService {
  private readonly changes = new Subject<SessionView>();
  private readonly live = new Map<string, AttachSession>();
  private ended: SessionView[] = [];
  private readonly deadlines = new Map<string, AbortController>();
  /** Those whose children are scoped, by the session that they come from. */
  private readonly families = new Map<string, Family>();
  private readonly stopWatching: () => void;
  private closing = false;
  private serial = 0;

  constructor(private readonly options: SessionServiceOptions) {
    super();
    this.stopWatching = options.clock.every(WATCH_MS, () => {
      this.watch();
    });
  }

  get changes$(): Observable<SessionView> {
    return this.changes.asObservable();
  }

  async attach(request: AttachRequest): Promise<SessionView> {
    return this.attachOrJoin(request, true);
  }

  /** `mayWait`: a process that is traced may be a child of ours whose session is about to begin. */
  private async attachOrJoin(request: AttachRequest, mayWait: boolean): Promise<SessionView> {
    const {processes, uid, agent} = this.options;
    const pid = checkPid(request.pid);
    const forbidden = refuseRights(uid, `Attaching to process ${pid}`);
    if (forbidden !== undefined) throw forbidden;
    if (this.closing) throw new ScopeError('AgentUnavailable', 'The agent is ending.');
    const facts = processes.read(pid);
    if (facts === undefined) throw noSuchProcess(pid);
    const existing = this.of(pid, facts.startTime);
    if (existing !== undefined) return this.join(existing, request);
    const refusal = refuseProcess(facts, {uid, ownPid: agent.pid, startTime: request.startTime});
    if (refusal?.reason === 'AlreadyTraced' && mayWait && this.families.size > 0) {
      await this.options.clock.sleep(BEGINNING_MS);
      return this.attachOrJoin(request, false);
    }
    if (refusal !== undefined) throw refusal;

    const session = new AttachSession(this.newId(facts.name, pid), this.options, facts, request, view => {
      this.onChange(view);
    });
    this.live.set(session.id, session);
    await session.start();
    this.keepDeadline(session, request);
    await this.followWhereAsked(session, request);
    return session.view();
  }

  async detach(sessionId: string, owner?: string): Promise<SessionView> {
    const session = this.live.get(sessionId);
    if (session === undefined) {
      const past = this.ended.find(({id}) => id === sessionId);
      throw past === undefined
        ? new ScopeError('NoSuchSession', `There is no session ${sessionId}.`, {details: {session: sessionId}})
        : new ScopeError('NotScoped', `Session ${sessionId} is over (${past.state}).`, {details: {session: sessionId}});
    }
    if (owner !== undefined && !session.isClaimedBy(owner)) {
      throw new ScopeError('NotScoped', `${owner} has no claim on session ${sessionId}.`);
    }
    this.deadlines.get(`${sessionId} ${owner ?? ''}`)?.abort();
    if (owner !== undefined && session.leave(owner)) {
      await this.leaveChildren(session, owner);
      return session.view();
    }
    await session.end();
    return session.view();
  }

  sessions(): readonly SessionView[] {
    return [...this.ended, ...[...this.live.values()].map(session => session.view())];
  }

  session(id: string): SessionView | undefined {
    return this.live.get(id)?.view() ?? this.ended.find(view => view.id === id);
  }

  /** Number of sessions that are not over. */
  liveCount(): number {
    return this.live.size;
  }

  /**
   * Goes on with the sessions of agents that are gone, and lets go of processes that such an agent was just attaching to.
   * Resolves with what became of them, within half a minute; what could not be mended stays in the journal for the next
   * time. Once, before anybody asks for a process.
   */
  async recover(): Promise<SessionView[]> {
    const {journal, processes} = this.options;
    const left = journal
      .entries()
      .filter(({agentPid, agentStartTime}) => processes.startTime(agentPid) !== agentStartTime);
    const views = await Promise.all(
      left.map(async entry => {
        await this.letGoByTracer(entry);
        return entry.session?.scopedAt === undefined ? this.release(entry) : this.resume(entry, entry.session);
      }),
    );
    await Promise.all([...this.live.values()].map(root => this.followAgain(root)));
    return views.filter(view => view !== undefined);
  }

  private async letGoByTracer({pid, startTime}: JournalEntry): Promise<void> {
    const {processes, clock} = this.options;
    const deadline = clock.monotonicMs() + LET_GO_MS;
    while (clock.monotonicMs() < deadline) {
      const facts = processes.read(pid);
      if (facts?.startTime !== startTime || facts.tracerPid === 0) return;
      await clock.sleep(LOOK_MS);
    }
  }

  /** The tracer of its children went with the agent before. */
  private async followAgain(root: AttachSession): Promise<void> {
    const [wish] = root.wishesForChildren();
    if (wish === undefined || root.childOf !== undefined || !root.isScoped()) return;
    try {
      await this.followWhereAsked(root, wish, LET_GO_MS);
    } catch {
      return; // Its claim is withdrawn, as after an attach.
    }
    const children = [...this.live.values()].filter(child => child.childOf?.session === root.id);
    this.families.get(root.id)?.takeBack(children);
  }

  private async resume({pid, startTime}: JournalEntry, saved: SavedSession): Promise<SessionView | undefined> {
    const [first] = saved.claims;
    if (first === undefined) return undefined;
    const facts = {pid, startTime, name: saved.name, executable: saved.executable};
    const changed = (view: SessionView): void => {
      this.onChange(view);
    };
    const session = new AttachSession(saved.id, this.options, facts, first.request, changed, saved.childOf, saved);
    this.live.set(session.id, session);
    await session.resume();
    for (const {request, deadline} of saved.claims) {
      if (deadline !== undefined)
        this.endAfter(session, request.owner, Date.parse(deadline) - this.options.clock.now());
    }
    return session.view();
  }

  private async release({pid, startTime, enter}: JournalEntry): Promise<undefined> {
    const {journal, processes, injector} = this.options;
    try {
      if (processes.startTime(pid) === startTime) await injector.detach({pid, ...(enter && {enter: true})});
      journal.remove(pid, startTime);
    } catch (thrown) {
      const {reason} = ScopeError.of(thrown);
      if (reason === 'NotScoped' || reason === 'NoSuchProcess') journal.remove(pid, startTime);
    }
  }

  /** Lets go of a process that no session of this agent holds (left by something that died). */
  async mend(pid: number): Promise<void> {
    const forbidden = refuseRights(this.options.uid, `Detaching from process ${checkPid(pid)}`);
    if (forbidden !== undefined) throw forbidden;
    const facts = this.options.processes.read(pid);
    if (facts === undefined) throw noSuchProcess(pid);
    await this.options.injector.detach({pid});
    this.options.journal.remove(pid, facts.startTime);
  }

  /**
   * Takes no wishes any more. Detaches from everything; what fails to detach is left to `recover`. `leave`: so is
   * everything that is scoped by now.
   */
  async close({leave = false} = {}): Promise<void> {
    this.closing = true;
    this.stopWatching();
    for (const deadline of this.deadlines.values()) deadline.abort();
    const sessions = [...this.live.values()];
    await Promise.allSettled(
      sessions.map(session => (leave && session.isScoped() ? session.handOver() : session.end())),
    );
    await Promise.allSettled([...this.families.values()].map(family => (leave ? family.leave() : family.close())));
    this.changes.complete();
  }

  private async join(session: AttachSession, request: AttachRequest): Promise<SessionView> {
    if (session.isEnding()) {
      await session.end().catch(() => undefined);
      return this.attach(request);
    }
    if (session.isClaimedBy(request.owner)) {
      // Its parent's session has claimed it for this owner already.
      if (session.childOf !== undefined && session.isScoped()) return session.view();
      throw alreadyScoped(request.pid, session.process.name, session.id);
    }
    await session.join(request);
    this.keepDeadline(session, request);
    await this.followWhereAsked(session, request);
    return session.view();
  }

  /** Where that fails the claim is withdrawn: what was asked for is not there. `patienceMs`: for a tracer that is about to let go. */
  private async followWhereAsked(
    session: AttachSession,
    {children, owner}: AttachRequest,
    patienceMs = 0,
  ): Promise<void> {
    if (children !== true || this.families.has(session.id)) return;
    const family = new Family(session, {
      follower: this.options.follower,
      injector: this.options.injector,
      adopt: (root, pid, parentPid) => this.adopt(root, pid, parentPid),
      dismiss: async child => {
        for (const {owner: claimant} of session.wishesForChildren()) {
          if (!child.isOver() && child.isClaimedBy(claimant)) await this.detach(child.id, claimant);
        }
      },
    });
    this.families.set(session.id, family);
    try {
      await this.openFamily(family, patienceMs);
    } catch (thrown) {
      this.families.delete(session.id);
      await this.detach(session.id, owner).catch(() => undefined);
      throw thrown;
    }
    void family.ended().then(() => this.families.delete(session.id));
  }

  private async openFamily(family: Family, patienceMs: number): Promise<void> {
    const {clock} = this.options;
    const deadline = clock.monotonicMs() + patienceMs;
    for (;;) {
      try {
        await family.open();
        return;
      } catch (thrown) {
        if (!IS_HELD.has(ScopeError.of(thrown).reason) || clock.monotonicMs() >= deadline) throw thrown;
      }
      await clock.sleep(LOOK_MS);
    }
  }

  private async leaveChildren(session: AttachSession, owner: string): Promise<void> {
    const family = this.families.get(session.id);
    if (family === undefined) return;
    if (session.wishesForChildren().length === 0) await family.close();
    const children = [...this.live.values()].filter(child => child.childOf?.session === session.id);
    const claimed = children.filter(child => child.isClaimedBy(owner));
    await Promise.allSettled(claimed.map(child => this.detach(child.id, owner)));
  }

  /** A session for a process that is scoped already, for those who want `root`'s children. */
  private adopt(root: AttachSession, pid: number, parentPid: number): AttachSession | undefined {
    const facts = this.options.processes.read(pid);
    const wishes = root.wishesForChildren();
    const [first, ...others] = wishes.map(wish => this.wishForChild(root, wish, pid));
    if (facts === undefined || first === undefined || this.closing) return undefined;
    const changed = (view: SessionView): void => {
      this.onChange(view);
    };
    const childOf = {session: root.id, parentPid};
    const id = this.newId(facts.name, pid);
    const session = new AttachSession(id, this.options, facts, first, changed, childOf);
    this.live.set(id, session);
    for (const wish of [first, ...others]) this.keepDeadline(session, wish);
    for (const wish of others) session.claim(wish);
    return session;
  }

  private wishForChild(root: AttachSession, wish: AttachRequest, pid: number): AttachRequest {
    const {startTime: _, children: __, activeDeadlineSeconds, ...rest} = wish;
    if (activeDeadlineSeconds === undefined) return {...rest, pid};
    const since = (this.options.clock.now() - Date.parse(root.view().createdAt)) / 1000;
    return {...rest, pid, activeDeadlineSeconds: Math.max(1, activeDeadlineSeconds - since)};
  }

  private of(pid: number, startTime: string): AttachSession | undefined {
    for (const session of this.live.values()) {
      if (session.pid === pid && session.startTime === startTime) return session;
    }
    return undefined;
  }

  private keepDeadline(session: AttachSession, {owner, activeDeadlineSeconds}: AttachRequest): void {
    if (activeDeadlineSeconds !== undefined) this.endAfter(session, owner, activeDeadlineSeconds * 1000);
  }

  private endAfter(session: AttachSession, owner: string, ms: number): void {
    const deadline = new AbortController();
    const key = `${session.id} ${owner}`;
    this.deadlines.set(key, deadline);
    this.options.clock
      .sleep(Math.max(0, ms), deadline.signal)
      .then(() => this.detach(session.id, owner))
      .catch(() => undefined)
      .finally(() => this.deadlines.delete(key));
  }

  private onChange(view: SessionView): void {
    if (view.endedAt !== undefined && this.live.delete(view.id)) {
      this.ended = [...this.ended, view].slice(-ENDED_KEPT);
      for (const owner of view.owners) this.deadlines.get(`${view.id} ${owner}`)?.abort();
    }
    this.changes.next(view);
  }

  private watch(): void {
    const {processes, isMapped} = this.options;
    for (const session of this.live.values()) {
      if (!session.isScoped()) continue;
      session.noteUnseen();
      const {mapFile} = session;
      if (processes.startTime(session.pid) !== session.startTime) void session.exited();
      else if (mapFile !== undefined && !isMapped(mapFile)) void session.replaced(mapFile);
    }
  }

  /** Readable, sortable within a process's name, unique in this agent and over time; safe as a folder's name. */
  private newId(name: string, pid: number): string {
    const milliseconds = Math.floor(this.options.clock.now());
    this.serial = (this.serial + 1) % 1296;
    const safe = name.replace(/[^A-Za-z0-9_.-]/g, '_').replace(/^\.+/, '_');
    return `${safe}-${pid}-${milliseconds.toString(36)}${this.serial.toString(36).padStart(2, '0')}`;
  }
}
