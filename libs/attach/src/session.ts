import type {CaptureOptions, ProcessIdentity} from '@scope/api';
import type {ScopeErrorView} from '@scope/core';

/**
 *   Pending ─▶ Planning ─▶ Attaching ─▶ Scoped ─▶ Detaching ─▶ Detached
 *      │           │            │          │           │
 *      └───────────┴────────────┴──▶ Failed ◀──────────┘
 *                                          └─▶ Exited          (the process ended by itself)
 *
 * Planning looks and changes nothing; Attaching runs the injector. Detached, Failed and Exited are final.
 */
export type SessionState =
  'Pending' | 'Planning' | 'Attaching' | 'Scoped' | 'Detaching' | 'Detached' | 'Failed' | 'Exited';

export const FINAL_STATES: readonly SessionState[] = ['Detached', 'Failed', 'Exited'];

export function isFinal(state: SessionState): boolean {
  return FINAL_STATES.includes(state);
}

/** Facts about the process that only its finder knows (Kubernetes, a container runtime). */
export type IdentityExtras = Omit<ProcessIdentity, 'pid' | 'name' | 'executable'>;

export interface RateLimit {
  /** Per process; what is over is counted as `rateLimited`, never silent. */
  readonly eventsPerSecond: number;
}

/** A wish: see into this process, for this owner. */
export interface AttachRequest {
  /** As the agent sees it. */
  readonly pid: number;
  /** Clock ticks since boot (/proc/PID/stat field 22), when the caller knows which process it means by that pid. */
  readonly startTime?: string;
  readonly capture: CaptureOptions;
  /** Copied into every event's `process`. */
  readonly identity?: IdentityExtras;
  /** Join the process's namespaces before acting (a container). */
  readonly enter?: boolean;
  /**
   * Who asks: "cli", "ScopeAttach/shop/checkout"… One owner has at most one claim on a process; several owners share
   * one attachment, which captures the union of what they ask.
   */
  readonly owner: string;
  readonly rateLimit?: RateLimit;
  /**
   * Scope the processes that it starts, too, from their first call on: each is a session of its own, for the same owner.
   * A tracer stays with the process for that.
   */
  readonly children?: boolean;
  /** Where to write this session's history: a folder that holds one folder per session. Absent: none. */
  readonly historyDirectory?: string;
  /** Ends by itself after that long. */
  readonly activeDeadlineSeconds?: number;
}

/** Where the events of a session went. delivered + filtered + rateLimited + what was lost = what happened. */
export interface SessionCounts {
  readonly delivered: number;
  readonly filtered: number;
  readonly rateLimited: number;
  /** Calls that found no place in the ring, by the payload's own count. */
  readonly lost: number;
  /** Everything that was not seen, by kind, as `lost` in events says it (docs/events.md); absent: nothing. */
  readonly losses?: Readonly<Record<string, number>>;
  /** By sink name: of the delivered events, those that a slow or failing sink could not take. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Of those that history took, the ones it let go again, oldest first, to stay within its bound; absent: none. */
  readonly rotated?: number;
}

/** What the injector did, as it said. */
export interface AttachmentView {
  readonly kind: string;
  readonly libc?: string;
  readonly go?: string;
  readonly threads: number;
  readonly sites: {readonly found: number; readonly hooked: number};
  /** How long the process stood still. */
  readonly stopMicroseconds: number;
}

/** A session as everyone outside sees it: a snapshot, never changed afterwards. */
export interface SessionView {
  readonly id: string;
  readonly pid: number;
  /** Clock ticks since boot: together with `pid` it names one process for ever. */
  readonly startTime: string;
  readonly state: SessionState;
  /** Why it is in this state, where that needs a word (Failed always has one). */
  readonly error?: ScopeErrorView;
  /** Troubles that did not end it: history not writable, disk full… */
  readonly problems: readonly ScopeErrorView[];
  readonly owners: readonly string[];
  readonly process: ProcessIdentity;
  /** The union of what its owners asked for. */
  readonly capture: CaptureOptions;
  /** Its children are scoped from their first call on. */
  readonly children?: true;
  /** Of a session that began since another one's children are scoped: that one, and who started the process. */
  readonly childOf?: {readonly session: string; readonly parentPid: number};
  /** RFC 3339: of the first wish, of the moment it was scoped, of its end. */
  readonly createdAt: string;
  readonly scopedAt?: string;
  readonly endedAt?: string;
  readonly attachment?: AttachmentView;
  readonly counts: SessionCounts;
  /** The session's own folder. */
  readonly history?: string;
}
