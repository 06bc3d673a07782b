import type {CaptureOptions, ProcessIdentity} from '@scope/api';
import type {BatchSummary, Loan} from '@scope/core';
import type {Observable} from 'rxjs';

/** What one session decodes, and how. Goes to the decoder as JSON. */
export interface NativeConfig {
  /** As the agent sees it. */
  readonly pid: number;
  /** A path that maps the ring: /proc/PID/map_files/… (needs root), or any file of that layout. */
  readonly ring: string;
  /** Written into every event's `process` as it is. */
  readonly process: ProcessIdentity;
  readonly capture: CaptureOptions;
  /** How often something long-lived tells of its progress. */
  readonly progressSeconds: number;
  /** The process stands still until `open` returns: its descriptors are looked at before that. */
  readonly held?: boolean;
  /** The process stands still in the call of its own birth: that call's end is none of its doings. */
  readonly born?: boolean;
  /** A file of ours that says, after our death, how far the ring was read. Its batches bear marks. */
  readonly cursor?: string;
  /** Goes on where that file ends. `mark`: of the last batch whose lines were kept; absent: none was. */
  readonly resume?: {readonly mark?: string};
}

/** Some events of one session: complete NDJSON lines, each ended by \n. Who keeps `lines` holds `loan`. */
export interface NativeBatch {
  readonly session: number;
  readonly events: number;
  readonly lines: Buffer;
  readonly loan?: Loan;
  /** What the lines come to. */
  readonly summary?: BatchSummary;
  /** What the lines up to here have told, for `resume`. Who keeps the lines keeps the last one's. */
  readonly mark?: string;
  /** Set by whoever passes the batch on: called once its lines are written (EventBatch.written). */
  readonly written?: () => void;
}

/**
 * What was not seen, by word; absent is 0. `records`: calls that found no place in the ring, which the payload also sums
 * up by family as readCalls, readBytes, writeCalls, writeBytes, recvCalls, recvBytes, sendCalls, sendBytes, transferCalls,
 * transferBytes (sendfile and its kin, which read and write at once).
 * `uncopiedCalls`, `uncopiedBytes`: the call was seen, its data was not. `abandoned`: places in the ring that were
 * reserved and never filled. `corrupt`: times that a ring made no sense and was emptied. Of an agent that died: `events`
 * that it had made and nobody got; untoldReadCalls, untoldReadBytes, untoldWriteCalls, untoldWriteBytes that it had
 * counted on descriptors and no close has told. `shed`: times that a session forgot what it was parsing, to stay within its
 * memory.
 */
export type NativeLosses = Readonly<Record<string, number>>;

/** Counts of one session since it was opened (native/decoder/src/stats.rs). They only grow, but for the two marked. */
export interface NativeStats {
  /** Read from the ring. */
  readonly records: number;
  /** Written as lines, and of those by event name where there are any. */
  readonly events: number;
  readonly eventsByName: Readonly<Record<string, number>>;
  readonly lost: NativeLosses;
  /** Bytes of streams that were looked at for a protocol and could not be told what they are. */
  readonly unparsedBytes: number;
  /** Calls that came back and bytes they moved: readCalls, readBytes, writeCalls… as /proc/PID/io counts them. */
  readonly io: Readonly<Record<string, number>>;
  /** The highest flush that is done. */
  readonly flushed: number;
  /** Open descriptors known now, and threads: these also shrink. */
  readonly descriptors: number;
  readonly threads: number;
  /** io_urings that were met: what goes through them is not seen. */
  readonly ioUrings: number;
}

/**
 * detached: closed by us. exited: the process ended. exec: it replaced its program, which took the ring away.
 * error: the decoder gave up, `message` says why.
 */
export type NativeEndReason = 'detached' | 'exited' | 'exec' | 'error';

/** How a session ended, and its last counts. */
export interface NativeEnd {
  readonly reason: NativeEndReason;
  readonly message?: string;
  readonly stats: NativeStats;
}

/** One process's ring being decoded. It keeps this program alive until it ends. */
export interface NativeSession {
  /** Unique in its hub. */
  readonly id: number;
  /**
   * Hot: subscribe in the turn in which the session was opened and nothing is missed. Completes with the session,
   * never errors. The decoder pauses while too many batches wait to be taken; a subscriber that throws costs its batch.
   */
  readonly batches$: Observable<NativeBatch>;
  /**
   * `room` is asked after each turn in which batches came: where it answers with a promise, they count as taken only when
   * it has resolved. It must do so soon: the decoder has one allowance for all its sessions.
   */
  paceBy(room: () => Promise<void> | undefined): void;
  /** Resolves after the last batch, whoever ended it; never rejects. */
  readonly ended: Promise<NativeEnd>;
  /** Those of the end once it has ended. */
  stats(): NativeStats;
  /** Everything recorded before the call has gone through `batches$`, or the session has ended. */
  flush(): Promise<void>;
  /** Reads what is left, tells of what is still open, ends. Resolves as `ended`; harmless when it has ended already. */
  close(): Promise<NativeEnd>;
}

/** The decoder: one native thread for all sessions. */
export interface NativeHub {
  /** Throws the ScopeError that the decoder's refusal names: ABIMismatch, ProcessExited, InvalidArgument… */
  open(config: NativeConfig): NativeSession;
}
