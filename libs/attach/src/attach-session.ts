import type {EventName, ProcessIdentity, ScopeEvent} from '@scope/api';
import type {Clock, ScopeErrorView, SessionRef} from '@scope/core';
import {ScopeError, eventTime} from '@scope/core';
import type {NativeConfig, NativeEnd, NativeHub, NativeSession, NativeStats} from '@scope/native';
import {unionCapture} from './capture-union';
import type {Injector, InjectorOptions, InjectorReport} from './injector/injector.port';
import type {Journal, SavedSession} from './journal.port';
import type {ProcessTable} from './proc/process-table.port';
import {scopedByAnother, usesIoUring} from './refusals';
import type {SessionFacts} from './session-facts';
import {NOTHING, addStats, identityOf, scopedAttributes, summarize} from './session-facts';
import type {SessionStream, SessionStreams} from './session-stream.port';
import type {AttachRequest, AttachmentView, RateLimit, SessionState, SessionView} from './session';
import {isFinal} from './session';

/** What a session acts through. */
export interface SessionPorts {
  readonly injector: Injector;
  readonly native: NativeHub;
  readonly streams: SessionStreams;
  readonly journal: Journal;
  readonly processes: ProcessTable;
  readonly clock: Clock;
  /** This agent, as the journal names it. */
  readonly agent: {readonly pid: number; readonly startTime: string};
}

/** What the process is just doing, as the decoder must know it. */
type Moment = Pick<NativeConfig, 'held' | 'born' | 'resume'>;

/** Who holds the process by ptrace: nobody else can work on it meanwhile. */
export interface SessionTracer {
  /** Resolves when it is held no more. */
  letGo(): Promise<void>;
}

/** Whose child a process is: the session that it comes from, and the process that started it. */
export type Descent = NonNullable<SessionView['childOf']>;

/** After these the injector may have left something: everything else it undid, or never began. */
const MAY_HAVE_LEFT_SOMETHING = new Set(['Timeout', 'Interrupted', 'InternalError']);
const IS_GONE = new Set(['NoSuchProcess', 'ProcessExited', 'PIDReused', 'Zombie']);
/** What a problem is about. */
const IO_URING = 'io_uring';
const PROGRESS_SECONDS = 10;
const RETRY_MS = 250;

/**
 * One process and its attachment: the state machine drawn in session.ts. Its methods that act (start, resume, end,
 * exited, …) run one after the other; `changed` is called with a snapshot at each change of state, owners or problems.
 */
export class AttachSession implements SessionRef {
  private identity: ProcessIdentity;
  private state: SessionState = 'Pending';
  private error: ScopeErrorView | undefined;
  /** By what they are about: a later one of the same kind takes the place of the earlier. */
  private readonly problems = new Map<string, ScopeErrorView>();
  private readonly claims = new Map<string, AttachRequest>();
  private readonly deadlines = new Map<string, string>();
  private readonly createdAt: string;
  private scopedAt: string | undefined;
  private endedAt: string | undefined;
  private attachment: AttachmentView | undefined;
  private stream: SessionStream | undefined;
  private native: NativeSession | undefined;
  private lastStats: NativeStats | undefined;
  private ring: string | undefined;
  private tracer: SessionTracer | undefined;
  private readonly interruption = new AbortController();
  private ending = false;
  private tail: Promise<unknown> = Promise.resolve();

  constructor(
    readonly id: string,
    private readonly ports: SessionPorts,
    private readonly facts: SessionFacts,
    private readonly first: AttachRequest,
    private readonly changed: (view: SessionView) => void,
    readonly childOf?: Descent,
    saved?: SavedSession,
  ) {
    this.identity = identityOf(facts, first);
    this.createdAt = saved?.createdAt ?? this.time();
    this.scopedAt = saved?.scopedAt;
    this.attachment = saved?.attachment;
    for (const {request, deadline} of saved?.claims ?? [{request: first, deadline: this.deadlineOf(first)}]) {
      this.claims.set(request.owner, request);
      if (deadline !== undefined) this.deadlines.set(request.owner, deadline);
    }
  }

  get process(): ProcessIdentity {
    return this.identity;
  }

  get pid(): number {
    return this.facts.pid;
  }

  get startTime(): string {
    return this.facts.startTime;
  }

  /** Where the ring is mapped in the process, while it is attached. */
  get mapFile(): string | undefined {
    return this.state === 'Scoped' ? this.ring : undefined;
  }

  isOver(): boolean {
    return isFinal(this.state);
  }

  isScoped(): boolean {
    return this.state === 'Scoped';
  }

  /** Also while it lets go: no claim can be added any more. */
  isEnding(): boolean {
    return this.ending || this.isOver();
  }

  isClaimedBy(owner: string): boolean {
    return this.claims.has(owner);
  }

  /** The wishes whose owners want its children scoped. */
  wishesForChildren(): AttachRequest[] {
    return [...this.claims.values()].filter(({children}) => children === true);
  }

  /** From now on the process is held by `tracer`; undefined: by nobody. */
  tracedBy(tracer: SessionTracer | undefined): void {
    this.tracer = tracer;
  }

  /** Takes down a trouble that does not end the session; `about` names its kind. */
  note(about: string, error: ScopeErrorView): void {
    this.problems.set(about, error);
    if (!this.isOver()) this.emit();
  }

  /** Takes down what the decoder has met since the last time that makes it see less than all. */
  noteUnseen(): void {
    if (this.problems.has(IO_URING) || (this.stats()?.ioUrings ?? 0) === 0) return;
    this.note(IO_URING, usesIoUring(this.facts).toView());
  }

  /** Pending → Scoped, or Failed with nothing left behind: then it rejects with why. */
  start(): Promise<void> {
    return this.inTurn(async () => {
      let touched = false;
      try {
        this.move('Planning');
        await this.openStream(false);
        this.move('Attaching');
        touched = true;
        await this.inject();
        this.scopedAt = this.time();
        this.save();
        this.move('Scoped');
      } catch (thrown) {
        const error = ScopeError.of(thrown, `Attaching to process ${this.pid} failed`);
        if (touched) await this.mend(error);
        await this.finish(IS_GONE.has(error.reason) && touched ? 'Exited' : 'Failed', error.toView());
        throw error;
      }
    });
  }

  /**
   * Pending → Scoped, of a process that was scoped already and stands still, as `report` tells. Resolves when its ring is
   * read. Rejects as `start` does.
   */
  startScoped(report: InjectorReport, isBorn: boolean): Promise<void> {
    return this.inTurn(async () => {
      this.save();
      try {
        await this.openStream(false);
        this.read(report, {held: true, ...(isBorn && {born: true})});
        this.scopedAt = this.time();
        this.save();
        this.move('Scoped');
      } catch (thrown) {
        const error = ScopeError.of(thrown, `Reading process ${this.pid} failed`);
        const {outcome, error: failure} = await this.letGo();
        if (outcome === 'Failed' && failure !== undefined) this.problems.set('mending', failure.toView());
        await this.finish(outcome === 'Exited' ? 'Exited' : 'Failed', error.toView());
        throw error;
      }
    });
  }

  /**
   * Pending → Scoped, for a session of an agent that is gone: its history goes on, and the process is not touched, unless
   * another version is to be replaced. Exited where the process has ended meanwhile, Failed where its scope can't be
   * had back: then nothing is left behind. Never rejects.
   */
  resume(): Promise<void> {
    return this.inTurn(async () => {
      try {
        await this.openStream(true);
        const outcome = this.whereabouts();
        if (outcome !== undefined) {
          this.forget();
          await this.finish(outcome.state, outcome.error?.toView());
          return;
        }
        await this.takeBack();
        this.move('Scoped');
      } catch (thrown) {
        const error = ScopeError.of(thrown, `Taking process ${this.pid} back failed`);
        await this.mend(error);
        await this.finish(IS_GONE.has(error.reason) ? 'Exited' : 'Failed', error.toView());
      }
    });
  }

  /** Scoped → Scoped: the program was replaced, and its tracer has scoped the new one. Resolves when its ring is read. */
  renewed(report: InjectorReport): Promise<void> {
    return this.inTurn(async () => {
      if (this.state !== 'Scoped') return;
      await this.closeNative();
      this.lookAgain();
      this.read(report, {held: true});
      this.emit();
    });
  }

  /** Scoped → Failed: the program was replaced, and the new one can not be scoped. */
  lost(error: ScopeError): Promise<void> {
    return this.inTurn(async () => {
      if (this.state !== 'Scoped') return;
      this.forget();
      await this.finish('Failed', error.toView());
    });
  }

  /** Stops reading a process that stays as it is, for the next agent to go on with. This session is of no use any more. */
  handOver(): Promise<void> {
    this.ending = true;
    return this.inTurn(async () => {
      if (this.state !== 'Scoped') return;
      await this.closeNative();
      await this.stream?.close();
    });
  }

  /** Adds an owner to a session that is on its way or Scoped; resolves when it is Scoped and captures what was asked. */
  async join(request: AttachRequest): Promise<void> {
    const before = JSON.stringify(this.capture());
    this.claims.set(request.owner, request);
    const deadline = this.deadlineOf(request);
    if (deadline !== undefined) this.deadlines.set(request.owner, deadline);
    await this.inTurn(async () => {
      if (this.state !== 'Scoped') {
        throw (
          ScopeError.fromView(this.error) ?? new ScopeError('NotScoped', `Process ${this.pid} is not scoped any more.`)
        );
      }
      this.stream?.limit(this.rateLimit());
      if (JSON.stringify(this.capture()) !== before) await this.reopen();
      this.save();
      this.emit();
    });
  }

  /** Adds an owner to a session that is not started yet. */
  claim(request: AttachRequest): void {
    this.claims.set(request.owner, request);
  }

  /** Withdraws one claim; false when it is the last one, which stays: then the session is to be ended. */
  leave(owner: string): boolean {
    if (this.claims.size === 1) return false;
    this.claims.delete(owner);
    this.deadlines.delete(owner);
    this.stream?.limit(this.rateLimit());
    if (this.state === 'Scoped') this.save();
    this.emit();
    return true;
  }

  /** → Detached: the process runs its own code again. Interrupts an attach that is on its way. */
  end(): Promise<void> {
    this.ending = true;
    if (this.state !== 'Scoped') this.interruption.abort();
    return this.inTurn(async () => {
      if (this.isOver()) return;
      this.move('Detaching');
      const {outcome, error} = await this.letGo();
      await this.finish(outcome, error?.toView());
      if (outcome === 'Failed' && error !== undefined) throw error;
    });
  }

  /** Scoped → Exited: the process ended by itself; what it left in the ring is still read. */
  exited(): Promise<void> {
    return this.inTurn(async () => {
      if (this.state !== 'Scoped') return;
      this.forget();
      await this.finish('Exited', undefined);
    });
  }

  /** Scoped → Scoped: the program was replaced (execve) and took the hooks with it; attaches to the new one. */
  replaced(mapFile: string): Promise<void> {
    return this.inTurn(async () => {
      // Noticed once, told perhaps twice: the second time the ring is another one. A tracer sees to it itself.
      if (this.state !== 'Scoped' || this.ring !== mapFile || this.tracer !== undefined) return;
      try {
        await this.closeNative();
        this.lookAgain();
        await this.inject();
        this.emit();
      } catch (thrown) {
        const error = ScopeError.of(thrown, `Attaching anew to process ${this.pid} failed`);
        await this.mend(error);
        await this.finish(IS_GONE.has(error.reason) ? 'Exited' : 'Failed', error.toView());
      }
    });
  }

  view(): SessionView {
    const optional = {
      error: this.error,
      scopedAt: this.scopedAt,
      endedAt: this.endedAt,
      attachment: this.attachment,
      history: this.stream?.history,
      childOf: this.childOf,
      children: this.wishesForChildren().length > 0 ? (true as const) : undefined,
    };
    const known = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
    return {
      id: this.id,
      pid: this.pid,
      startTime: this.startTime,
      state: this.state,
      problems: [...this.problems.values(), ...(this.stream?.problems() ?? [])],
      owners: [...this.claims.keys()],
      process: this.process,
      capture: this.capture(),
      createdAt: this.createdAt,
      counts: this.stream?.counts(this.stats()) ?? NOTHING,
      ...known,
    };
  }

  /** Scoped → Failed: the decoder gave up on what the process wrote; lets go of it. */
  private abandoned(why: string): Promise<void> {
    return this.inTurn(async () => {
      if (this.state !== 'Scoped') return;
      const error = new ScopeError('InternalError', `The decoder gave up on process ${this.pid}: ${why}`);
      this.move('Detaching');
      const {outcome} = await this.letGo();
      await this.finish(outcome === 'Exited' ? 'Exited' : 'Failed', error.toView());
    });
  }

  /** Over every decoder that this session had. */
  private stats(): NativeStats | undefined {
    return this.native === undefined ? this.lastStats : addStats(this.lastStats, this.native.stats());
  }

  private async openStream(resumes: boolean): Promise<void> {
    const {historyDirectory} = this.first;
    this.stream = await this.ports.streams.open({
      session: this,
      marks: this.files.marks,
      resumes,
      ...(historyDirectory !== undefined && {historyDirectory}),
    });
    this.stream.limit(this.rateLimit());
  }

  /** What the next agent needs, should this one die. Throws where it can't be written. */
  private save(): void {
    const {name, executable} = this.identity;
    const {scopedAt, attachment, createdAt, id} = this;
    const claims = [...this.claims.values()].map(request => {
      const deadline = this.deadlines.get(request.owner);
      return {request, ...(deadline !== undefined && {deadline})};
    });
    this.ports.journal.put({
      pid: this.pid,
      startTime: this.startTime,
      enter: this.first.enter === true,
      agentPid: this.ports.agent.pid,
      agentStartTime: this.ports.agent.startTime,
      session: {
        id,
        name,
        executable,
        createdAt,
        claims,
        ...(this.childOf !== undefined && {childOf: this.childOf}),
        ...(scopedAt !== undefined && {scopedAt}),
        ...(attachment !== undefined && {attachment}),
      },
    });
  }

  private lookAgain(): void {
    const facts = this.ports.processes.read(this.pid);
    if (facts !== undefined) this.identity = identityOf(facts, this.first);
  }

  private async inject(): Promise<void> {
    this.save();
    this.read(await this.attachAnyway());
  }

  /** Begins to read what the injector has just made. */
  private read(report: InjectorReport, moment: Moment = {}): void {
    this.hold(report);
    this.openNative(moment);
    // The decoder's first batch comes in a later turn: this one is first.
    if (this.attachment !== undefined) this.tell('process.scoped', scopedAttributes(this.attachment));
  }

  /** Why a session of an agent that is gone is over; undefined: it goes on. */
  private whereabouts(): {readonly state: 'Exited' | 'Failed'; readonly error?: ScopeError} | undefined {
    const {processes} = this.ports;
    if (processes.startTime(this.pid) !== this.startTime) {
      this.tellGap('ProcessExited');
      return {state: 'Exited'};
    }
    const reader = processes.readerOf(this.pid);
    if (reader === undefined) return undefined;
    return {state: 'Failed', error: scopedByAnother(this.pid, this.facts.name, reader)};
  }

  /** Goes on with what the agent before has left in the process. */
  private async takeBack(): Promise<void> {
    this.save();
    let report;
    try {
      report = await this.ports.injector.adopt(this.injection(), this.interruption.signal);
    } catch (thrown) {
      const {reason} = ScopeError.of(thrown);
      if (reason !== 'ABIMismatch' && reason !== 'NotScoped') throw thrown;
      // What it left can't be read, or went with the program that it was in.
      this.tellGap(reason);
      this.read(await this.ports.injector.attach({...this.injection(), replace: true}, this.interruption.signal));
      return;
    }
    const {attachment} = this;
    this.hold(report);
    this.attachment = attachment ?? this.attachment;
    const {mark} = this.stream?.kept ?? {};
    this.openNative({resume: {...(mark !== undefined && {mark})}});
    if (report.isOfAnotherBuild) await this.renew();
  }

  /** The scope of another build gives way to our own; what it has seen until then is told, nothing is seen in between. */
  private async renew(): Promise<void> {
    const report = await this.ports.injector.attach({...this.injection(), replace: true}, this.interruption.signal);
    await this.closeNative();
    this.tellGap('ABIMismatch');
    this.read(report);
  }

  /** Nobody read since the agent before was gone, and what is missing can't be said. */
  private tellGap(reason: string): void {
    const since = this.stream?.kept?.at?.getTime();
    this.tell('scope.lost', {
      'scope.lost.where': 'agent',
      'scope.lost.exact': false,
      'scope.reason': reason,
      ...(since !== undefined && {
        'scope.lost.since': eventTime(since),
        'scope.lost.duration': (this.ports.clock.now() - since) / 1000,
      }),
    });
  }

  private get files(): ReturnType<Journal['files']> {
    return this.ports.journal.files(this.pid, this.startTime);
  }

  private injection(): InjectorOptions {
    return {
      pid: this.pid,
      ...(this.first.enter === true && {enter: true}),
      ...(this.capture().console?.mode === 'Lines' && {console: true}),
      ...(this.capture().fs?.timing === true && {timing: true}),
    };
  }

  /** What the injector did is this session's now. */
  private hold(report: InjectorReport): void {
    if (report.startTime !== this.startTime) {
      throw new ScopeError('InternalError', `Process ${this.pid} was replaced by another one during the attach.`);
    }
    if (report.ring === undefined) throw new ScopeError('InternalError', 'The injector did not say where the ring is.');
    this.ring = report.ring.mapFile;
    this.attachment = summarize(report);
    if (report.target.ioUrings > 0) this.problems.set(IO_URING, usesIoUring(this.facts).toView());
    else this.problems.delete(IO_URING);
  }

  /** What is scoped by nobody who lives was left by an agent that died without a word: it is replaced. */
  private async attachAnyway(): Promise<InjectorReport> {
    const {injector, processes, clock} = this.ports;
    const options = this.injection();
    try {
      return await injector.attach(options, this.interruption.signal);
    } catch (thrown) {
      if (ScopeError.of(thrown).reason !== 'AlreadyScoped') throw thrown;
      // Whoever has just attached it needs a moment to begin to read.
      await clock.sleep(RETRY_MS, this.interruption.signal).catch(() => undefined);
      const reader = processes.readerOf(this.pid);
      if (reader !== undefined) throw scopedByAnother(this.pid, this.facts.name, reader);
      return injector.attach({...options, replace: true}, this.interruption.signal);
    }
  }

  private openNative(moment: Moment = {}): void {
    const {ring, stream} = this;
    if (ring === undefined || stream === undefined) return;
    const native = this.ports.native.open({
      pid: this.pid,
      ring,
      process: this.process,
      capture: this.capture(),
      progressSeconds: PROGRESS_SECONDS,
      cursor: this.files.cursor,
      ...moment,
    });
    this.native = native;
    stream.consume(native.batches$);
    native.paceBy(() => stream.room());
    void native.ended.then(end => this.onNativeEnd(native, ring, end));
  }

  /** The decoder sees first how a process ends; when it was us who closed it there is nothing to do. */
  private async onNativeEnd(native: NativeSession, ring: string, {reason, message}: NativeEnd): Promise<void> {
    if (this.native !== native) return;
    if (reason === 'exited') await this.exited();
    else if (reason === 'exec') await this.replaced(ring);
    else if (reason === 'error') await this.abandoned(message ?? 'it did not say why');
  }

  private async closeNative(): Promise<void> {
    const open = this.native;
    this.native = undefined;
    if (open !== undefined) this.lastStats = (await open.close()).stats;
  }

  /** The decoder is opened anew on the same ring, with the new wishes. */
  private async reopen(): Promise<void> {
    await this.closeNative();
    this.openNative();
  }

  private async letGo(): Promise<{outcome: 'Detached' | 'Exited' | 'Failed'; error?: ScopeError}> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await this.tracer?.letGo();
        await this.ports.injector.detach({pid: this.pid, ...(this.first.enter === true && {enter: true})});
        this.forget();
        return {outcome: 'Detached'};
      } catch (thrown) {
        const error = ScopeError.of(thrown, `Detaching from process ${this.pid} failed`);
        if (error.reason === 'NotScoped' || IS_GONE.has(error.reason)) {
          this.forget();
          return {outcome: error.reason === 'NotScoped' ? 'Detached' : 'Exited'};
        }
        if (attempt > 0) return {outcome: 'Failed', error};
        await this.ports.clock.sleep(RETRY_MS);
      }
    }
  }

  /** After a failed attach: takes away what may be left of it. */
  private async mend(error: ScopeError): Promise<void> {
    if (!MAY_HAVE_LEFT_SOMETHING.has(error.reason) && this.attachment === undefined) {
      this.forget();
      return;
    }
    const {outcome, error: failure} = await this.letGo();
    if (outcome === 'Failed' && failure !== undefined) this.problems.set('mending', failure.toView());
  }

  private async finish(state: 'Detached' | 'Exited' | 'Failed', error: ScopeErrorView | undefined): Promise<void> {
    await this.closeNative().catch((thrown: unknown) => {
      this.problems.set('decoder', ScopeError.of(thrown, 'Closing the decoder failed').toView());
    });
    this.noteUnseen();
    if (this.scopedAt !== undefined) this.tell('process.unscoped', {'scope.reason': error?.reason ?? state});
    // What it adds to the agent's totals as it closes is by what it was told last: the decoder's last word.
    this.stream?.counts(this.stats());
    await this.stream?.close();
    this.error = error;
    this.endedAt = this.time();
    this.move(state);
  }

  private deadlineOf({activeDeadlineSeconds}: AttachRequest): string | undefined {
    if (activeDeadlineSeconds === undefined) return undefined;
    return new Date(this.ports.clock.now() + activeDeadlineSeconds * 1000).toISOString();
  }

  private tell(event: EventName, attributes: ScopeEvent['attributes']): void {
    const time = eventTime(this.ports.clock.now());
    this.stream?.tell({time, event, process: this.process, attributes});
  }

  private forget(): void {
    this.ports.journal.remove(this.pid, this.startTime);
  }

  private capture(): SessionView['capture'] {
    return unionCapture([...(this.claims.size > 0 ? this.claims.values() : [this.first])].map(({capture}) => capture));
  }

  /** The most generous of its owners' limits; none when one of them has none. */
  private rateLimit(): RateLimit | undefined {
    const limits = [...this.claims.values()].map(({rateLimit}) => rateLimit?.eventsPerSecond ?? Infinity);
    const most = Math.max(...limits);
    return Number.isFinite(most) ? {eventsPerSecond: most} : undefined;
  }

  private move(state: SessionState): void {
    this.state = state;
    this.emit();
  }

  private emit(): void {
    const view = this.view();
    this.stream?.record(view);
    this.changed(view);
  }

  private time(): string {
    return new Date(this.ports.clock.now()).toISOString();
  }

  private inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.tail.then(act);
    this.tail = turn.catch(() => undefined);
    return turn;
  }
}
