import type {ScopeEvent} from '@scope/api';
import type {ScopeErrorView, SessionRef} from '@scope/core';
import type {NativeBatch, NativeStats} from '@scope/native';
import type {Observable} from 'rxjs';
import type {RateLimit, SessionCounts, SessionView} from './session';

export interface SessionStreamRequest {
  readonly session: SessionRef;
  readonly historyDirectory?: string;
  /** JournalFiles.marks. */
  readonly marks: string;
  /** A session of an agent that is gone: its history and its counts go on. */
  readonly resumes: boolean;
}

/** Where one session's events go: the other side (pipeline and sinks) is put together by the application. */
export interface SessionStream {
  /** The session's own history folder, if it has one. */
  readonly history?: string;
  /** Of a session that goes on: what of its events was kept, and when that was last written down. */
  readonly kept?: {readonly mark?: string; readonly at?: Date};
  /** Undefined: no limit. Said once after the opening, and whenever the owners change. */
  limit(rate: RateLimit | undefined): void;
  /** Subscribes; called again when the decoder was opened anew. */
  consume(batches$: Observable<NativeBatch>): void;
  /** Undefined: go on. Else it has much to do, and it resolves soon. Never rejects. */
  room(): Promise<void> | undefined;
  /** An event of the session itself, put where the decoder's are at this moment; no limit applies. */
  tell(event: ScopeEvent): void;
  /** `native` counts what was lost before it came here. */
  counts(native: NativeStats | undefined): SessionCounts;
  problems(): readonly ScopeErrorView[];
  /** The session changed: history writes it down. Never throws. */
  record(view: SessionView): void;
  /** Everything consumed so far is written, and noted in `marks`. */
  close(): Promise<void>;
}

export interface SessionStreams {
  /** Rejects with HistoryNotWritable or DiskFull before anything was done to the process. */
  open(request: SessionStreamRequest): Promise<SessionStream>;
}
