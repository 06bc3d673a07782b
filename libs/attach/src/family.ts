import {ScopeError} from '@scope/core';
import type {AttachSession, SessionTracer} from './attach-session';
import type {Follower, FollowerEvent, Following} from './follower/follower.port';
import type {Injector, InjectorReport} from './injector/injector.port';

export interface FamilyPorts {
  readonly follower: Follower;
  readonly injector: Injector;
  /** A session for a child that is scoped already; undefined when the process is gone. */
  readonly adopt: (root: AttachSession, pid: number, parentPid: number) => AttachSession | undefined;
  /** Withdraws what the root's owners claim of a child's session. */
  readonly dismiss: (child: AttachSession) => Promise<void>;
}

/**
 * A session and those of its process's children, and theirs: what one tracer follows. The tracer tells of each child that
 * it has scoped, which waits until its session reads its ring.
 */
export class Family {
  private readonly members = new Map<number, AttachSession>();
  /** Scoped when nobody wanted them any more. */
  private readonly unwanted = new Set<number>();
  private following: Following | undefined;
  private refused = 0;
  private isClosing = false;

  constructor(
    readonly root: AttachSession,
    private readonly ports: FamilyPorts,
  ) {}

  /** Rejects with what keeps the process from being followed: then nothing is. */
  async open(): Promise<void> {
    const {root} = this;
    const {capture} = root.view();
    this.following = await this.ports.follower.follow(
      {
        pid: root.pid,
        ...(capture.console?.mode === 'Lines' && {console: true}),
        ...(capture.fs?.timing === true && {timing: true}),
      },
      event => {
        this.hear(event);
      },
    );
    this.join(root, {letGo: () => this.close()});
  }

  /** Resolves when nothing is followed any more, however that came about. */
  async ended(): Promise<void> {
    const error = await this.following?.ended;
    this.following = undefined;
    for (const session of this.members.values()) session.tracedBy(undefined);
    if (error === undefined) return;
    const living = [...this.members.values()].filter(session => !session.isOver());
    for (const session of living) session.note('follower', error.toView());
  }

  /** Children of before, whose tracer went with another agent: their own children are not scoped any more. */
  takeBack(children: readonly AttachSession[]): void {
    for (const child of children) {
      this.join(child, undefined);
      child.note(
        'follower',
        new ScopeError(
          'AgentUnavailable',
          `What process ${child.pid} starts is not scoped since the agent was replaced.`,
          {
            advice: 'Attach to it with --children for that.',
          },
        ).toView(),
      );
    }
  }

  /** Nobody is followed any more; all that is scoped stays so. */
  async leave(): Promise<void> {
    this.isClosing = true;
    await this.following?.close();
  }

  /** Nobody is followed any more, and its children's sessions are over, but where others claim them. */
  async close(): Promise<void> {
    this.isClosing = true;
    await this.following?.close();
    for (const session of this.members.values()) session.tracedBy(undefined);
    await this.dismissChildren();
    for (const pid of this.unwanted) await this.ports.injector.detach({pid}).catch(() => undefined);
    this.unwanted.clear();
  }

  /** Lets its owners' claims on the children go. */
  async dismissChildren(): Promise<void> {
    const children = [...this.members.values()].filter(session => session !== this.root && !session.isOver());
    await Promise.allSettled(children.map(child => this.ports.dismiss(child)));
  }

  private join(session: AttachSession, tracer: SessionTracer | undefined): void {
    this.members.set(session.pid, session);
    session.tracedBy(tracer);
  }

  private hear(event: FollowerEvent): void {
    switch (event.event) {
      case 'attached':
        void this.attached(event.pid, event.parent, event.cause === 'birth', event.report);
        return;
      case 'refused':
        this.couldNot(event.pid, event.error);
        return;
      case 'passed':
        this.tell('passed', `${event.passed} children of process ${this.root.pid} so far were not scoped`, event);
        return;
      case 'late':
        this.tell('late', `Process ${event.pid}, a child, began before its events were read`, event);
        return;
      case 'ended':
        if (event.pid !== this.root.pid) this.members.delete(event.pid);
        return;
      case 'exec':
        return;
    }
  }

  private async attached(pid: number, parentPid: number, isBorn: boolean, report: InjectorReport): Promise<void> {
    try {
      const known = this.members.get(pid);
      if (known !== undefined && !known.isEnding()) {
        await known.renewed(report);
        return;
      }
      const child = this.isClosing ? undefined : this.ports.adopt(this.root, pid, parentPid);
      if (child === undefined) {
        this.unwanted.add(pid);
        return;
      }
      this.join(child, {letGo: () => this.following?.release(pid) ?? Promise.resolve()});
      await child.startScoped(report, isBorn);
    } catch (thrown) {
      this.couldNot(pid, ScopeError.of(thrown));
    } finally {
      this.following?.go(pid);
    }
  }

  private couldNot(pid: number, error: ScopeError): void {
    void this.members.get(pid)?.lost(error);
    // One that was over before it could be looked at has nothing to tell.
    if (pid === this.root.pid || error.disposition === 'ignore') return;
    this.refused += 1;
    const text = `${this.refused} children of process ${this.root.pid} so far could not be scoped; the last one, process ${pid}: ${error.message}`;
    this.note('refused', new ScopeError(error.reason, text, {details: {pid}}));
  }

  private tell(about: string, text: string, {pid}: FollowerEvent): void {
    const why = about === 'passed' ? ': as many as may be were scoped already (SCOPE_MOST_CHILDREN)' : '';
    this.note(
      about,
      new ScopeError(about === 'passed' ? 'NotSupported' : 'Timeout', `${text}${why}.`, {details: {pid}}),
    );
  }

  private note(about: string, error: ScopeError): void {
    this.root.note(about, error.toView());
  }
}
