import type {ProcessIdentity} from '@scope/api';
import type {Loan} from './loan';

/** The session that a batch belongs to: what a sink may need to know about it. */
export interface SessionRef {
  readonly id: string;
  readonly process: ProcessIdentity;
}

/** HTTP exchanges that metrics don't tell apart. `status`: 0 where there was no response. `ns`: how long each took. */
export interface ExchangeDurations {
  readonly role: 'server' | 'client';
  /** A method that OpenTelemetry's conventions know, or `_OTHER`. */
  readonly method: string;
  readonly status: number;
  readonly ns: readonly number[];
}

/** What the lines of a batch come to: who only counts need not read them. */
export interface BatchSummary {
  /** How many lines there are by the name of their event. */
  readonly events: Readonly<Record<string, number>>;
  readonly exchanges: readonly ExchangeDurations[];
}

/**
 * Some events of one session, as complete NDJSON lines (each ends with \n). Nobody writes to `lines`: several sinks hold
 * the same bytes. Who keeps them beyond the call that brought them holds `loan`, where there is one.
 */
export interface EventBatch {
  readonly session: SessionRef;
  readonly events: number;
  readonly lines: Buffer;
  /** Of the memory of `lines`. */
  readonly loan?: Loan;
  /** Of exactly these lines; absent where some were taken out, or the decoder did not make them. */
  readonly summary?: BatchSummary;
  /** Kept by whoever keeps the lines (NativeBatch.mark). */
  readonly mark?: string;
  /** Called by a sink that writes for others, once it has written the lines. */
  readonly written?: () => void;
}

/**
 * Where events go. `write` never throws, never blocks and never parses more than it must. What a sink can't take it drops
 * and counts, by session; where its reader can be told of the gap, the next thing it reads says how many are missing.
 */
export interface EventSink {
  /** Short, constant: a metric label. */
  readonly name: string;
  write(batch: EventBatch): void;
  /** Events of this session that it was given and could not pass on, by now. */
  droppedOf(session: SessionRef): number;
  /**
   * For sinks that are worth waiting for. Undefined: go on. Else they have much to do, and it resolves when they have
   * less, or when waiting for them makes no sense any more: soon either way. Never rejects.
   */
  room?(): Promise<void> | undefined;
  stats(): SinkStats;
  /** Writes what waits, for a few seconds at most, then lets go of its resources. */
  close(): Promise<void>;
}

/** Of one sink. `queue*` in bytes. */
export interface SinkStats {
  readonly queueDepth: number;
  readonly queueCapacity: number;
  readonly written: number;
  readonly dropped: number;
}
