import type {SessionRef} from './event-batch';
import {eventTime} from './event-lines';

/** One line that tells a reader of a gap, and how many events are missing there. */
export interface ToldGap {
  readonly session: SessionRef;
  readonly missing: number;
  readonly line: Buffer;
}

/**
 * Events that a reader does not get: counted by session for ever, and told once, by a `scope.lost` line where they are
 * missing. Then lines read + events told of = events that there were.
 */
export class Gap {
  private readonly totals = new WeakMap<SessionRef, number>();
  private untold = new Map<SessionRef, number>();
  private all = 0;

  /** `where`: what dropped them, as the line says it. */
  constructor(private readonly where: string) {}

  add(session: SessionRef, events: number): void {
    if (events === 0) return;
    this.totals.set(session, this.of(session) + events);
    this.untold.set(session, (this.untold.get(session) ?? 0) + events);
    this.all += events;
  }

  /** Everything that was ever missing of this session. */
  of(session: SessionRef): number {
    return this.totals.get(session) ?? 0;
  }

  /** … and of all. */
  get total(): number {
    return this.all;
  }

  /** Nothing is missing that was not told. */
  get isTold(): boolean {
    return this.untold.size === 0;
  }

  /** The lines that tell what was not told yet, one for each session. `nowMs`: since 1970. */
  lines(nowMs: number): ToldGap[] {
    return [...this.untold].map(([session, missing]) => ({session, missing, line: this.line(session, missing, nowMs)}));
  }

  /** What `lines` gave is on its way to the reader. */
  told(): void {
    this.untold = new Map();
  }

  private line({process}: SessionRef, events: number, nowMs: number): Buffer {
    const attributes = {'scope.lost.where': this.where};
    return Buffer.from(
      `${JSON.stringify({time: eventTime(nowMs), event: 'scope.lost', process, attributes, lost: {events}})}\n`,
    );
  }
}
