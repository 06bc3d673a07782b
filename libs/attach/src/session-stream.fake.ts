import type {ScopeEvent} from '@scope/api';
import type {ScopeErrorView} from '@scope/core';
import {ScopeError} from '@scope/core';
import type {NativeBatch, NativeStats} from '@scope/native';
import type {Observable} from 'rxjs';
import type {RateLimit, SessionCounts, SessionView} from './session';
import type {SessionStream, SessionStreamRequest, SessionStreams} from './session-stream.port';

/** Streams that keep what they are given. */
export class FakeSessionStreams implements SessionStreams {
  readonly opened: FakeSessionStream[] = [];
  /** Thrown by the next `open`, once. */
  refusal: ScopeError | undefined;

  open(request: SessionStreamRequest): Promise<FakeSessionStream> {
    const {refusal} = this;
    this.refusal = undefined;
    if (refusal !== undefined) return Promise.reject(refusal);
    const stream = new FakeSessionStream(request);
    this.opened.push(stream);
    return Promise.resolve(stream);
  }
}

export class FakeSessionStream implements SessionStream {
  readonly batches: NativeBatch[] = [];
  readonly told: ScopeEvent[] = [];
  readonly views: SessionView[] = [];
  readonly kept = {};
  rate: RateLimit | undefined;
  isClosed = false;

  constructor(readonly request: SessionStreamRequest) {}

  limit(rate: RateLimit | undefined): void {
    this.rate = rate;
  }

  consume(batches$: Observable<NativeBatch>): void {
    batches$.subscribe(batch => {
      if (this.isClosed) throw new ScopeError('InternalError', 'a batch came after the end');
      this.batches.push(batch);
    });
  }

  room(): undefined {
    return undefined;
  }

  tell(event: ScopeEvent): void {
    if (this.isClosed) throw new ScopeError('InternalError', 'an event came after the end');
    this.told.push(event);
  }

  counts(native: NativeStats | undefined): SessionCounts {
    const delivered = this.batches.reduce((sum, {events}) => sum + events, 0);
    return {delivered, filtered: 0, rateLimited: 0, lost: native?.lost.records ?? 0, dropped: {}};
  }

  problems(): readonly ScopeErrorView[] {
    return [];
  }

  record(view: SessionView): void {
    this.views.push(view);
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}
