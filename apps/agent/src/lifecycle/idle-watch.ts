import type {SessionService} from '@scope/attach';
import type {Clock} from '@scope/core';
import type {Subscription} from 'rxjs';

export interface IdleWatchOptions {
  readonly sessions: Pick<SessionService, 'liveCount' | 'changes$'>;
  readonly clock: Clock;
  readonly graceMs: number;
  /** Called once. */
  readonly idle: () => void;
}

/** An agent that was started for a session has a minute to get its first one. */
const FIRST_SESSION_MS = 60_000;
const LOOK_MS = 250;

/**
 * Ends an on-demand agent: `idle` is called when there was no session for the grace period after the last one. A session
 * may begin and end between two looks: that there was one is told by its changes.
 */
export class IdleWatch {
  private idleSince: number;
  private hadSession = false;
  private readonly stop: () => void;
  private readonly changes: Subscription;

  constructor(private readonly options: IdleWatchOptions) {
    const {clock, sessions} = options;
    this.idleSince = clock.monotonicMs();
    this.changes = sessions.changes$.subscribe(() => {
      this.hadSession = true;
      this.idleSince = clock.monotonicMs();
    });
    this.stop = clock.every(LOOK_MS, () => {
      this.look();
    });
  }

  close(): void {
    this.changes.unsubscribe();
    this.stop();
  }

  private look(): void {
    const {sessions, clock, graceMs, idle} = this.options;
    const now = clock.monotonicMs();
    if (sessions.liveCount() > 0) {
      this.idleSince = now;
      return;
    }
    if (now - this.idleSince < (this.hadSession ? graceMs : FIRST_SESSION_MS)) return;
    this.close();
    idle();
  }
}
