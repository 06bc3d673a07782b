import type {BatchSummary} from '@scope/core';
import {Loan} from '@scope/core';
import type {Observable} from 'rxjs';
import {Subject} from 'rxjs';
import {parseEnd, parseStats, NO_STATS} from './decoder-reply.parser';
import type {NativeBatch, NativeEnd, NativeSession, NativeStats} from './native-hub.port';

/** The part of the hub that a session acts through. */
export interface SessionSource {
  stats(session: number): string | undefined;
  close(session: number): boolean;
  flush(session: number): number;
  free(bytes: Buffer): void;
  /** Resolves once every batch handed over by the decoder so far has been taken. */
  settled(): Promise<void>;
  /** A pause between two looks at the stats. */
  pause(): Promise<void>;
}

/** SCOPE_MARK_BYTES of native/decoder/include/scope_decoder.h. */
export const MARK_BYTES = 216;

/** One session of the addon. Its hub calls `take` and `end`, in the decoder's order. */
export class AddonSession implements NativeSession {
  readonly ended: Promise<NativeEnd>;
  private readonly batches = new Subject<NativeBatch>();
  private last: NativeStats = NO_STATS;
  private over = false;
  private room: () => Promise<void> | undefined = () => undefined;
  private resolveEnded: (end: NativeEnd) => void = () => undefined;

  constructor(
    readonly id: number,
    private readonly source: SessionSource,
    private readonly isMarked = false,
  ) {
    this.ended = new Promise(resolve => {
      this.resolveEnded = resolve;
    });
  }

  get batches$(): Observable<NativeBatch> {
    return this.batches.asObservable();
  }

  paceBy(room: () => Promise<void> | undefined): void {
    this.room = room;
  }

  /** What `paceBy` was given says whether to wait with the acknowledgement of what was taken. */
  whenRoom(): Promise<void> | undefined {
    return this.room();
  }

  stats(): NativeStats {
    const json = this.over ? undefined : this.source.stats(this.id);
    if (json !== undefined) this.last = parseStats(json);
    return this.last;
  }

  async flush(): Promise<void> {
    if (this.over) return;
    const ticket = this.source.flush(this.id);
    while (!this.isOver() && this.stats().flushed < ticket) await this.source.pause();
    if (!this.isOver()) await this.source.settled();
  }

  close(): Promise<NativeEnd> {
    if (!this.over) this.source.close(this.id);
    return this.ended;
  }

  take(bytes: Buffer, events: number, summary: BatchSummary | undefined): void {
    const end = bytes.length - (this.isMarked ? MARK_BYTES : 0);
    const loan = new Loan(() => {
      this.source.free(bytes);
    });
    this.batches.next({
      session: this.id,
      events,
      lines: bytes.subarray(0, end),
      loan,
      ...(summary !== undefined && {summary}),
      ...(this.isMarked && {mark: bytes.toString('hex', end)}),
    });
    loan.release();
  }

  end(json: string): void {
    const end = parseEnd(json);
    this.last = end.stats;
    this.over = true;
    this.batches.complete();
    this.resolveEnded(end);
  }

  /** A method, so that the compiler doesn't take the field for constant across an await. */
  private isOver(): boolean {
    return this.over;
  }
}
