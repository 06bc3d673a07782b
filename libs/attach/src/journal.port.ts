import type {AttachRequest, AttachmentView, SessionView} from './session';

/** What a session needs to go on in another agent. Times in RFC 3339. */
export interface SavedSession {
  readonly id: string;
  readonly name: string;
  readonly executable: string;
  readonly createdAt: string;
  /** Absent: its attach was never finished. */
  readonly scopedAt?: string;
  readonly attachment?: AttachmentView;
  readonly childOf?: NonNullable<SessionView['childOf']>;
  /** The first one began it. */
  readonly claims: readonly SavedClaim[];
}

export interface SavedClaim {
  readonly request: AttachRequest;
  readonly deadline?: string;
}

/** One process that is, or may be, patched, and by which agent. */
export interface JournalEntry {
  readonly pid: number;
  readonly startTime: string;
  readonly enter: boolean;
  /** The agent that did it: while it lives, nobody else touches the process. */
  readonly agentPid: number;
  readonly agentStartTime: string;
  /** Absent: nobody knows what it was for, and the process is let go. */
  readonly session?: SavedSession;
}

/** Files beside an entry, for its whole life: written by the decoder, and by whoever keeps the events. */
export interface JournalFiles {
  /** NativeConfig.cursor. */
  readonly cursor: string;
  /** Which events were kept. */
  readonly marks: string;
}

/**
 * What survives the agent's sudden death: an entry is there from before the injector runs until after a detach
 * succeeded, so that the next agent can go on with the session, or let go of the process.
 */
export interface Journal {
  /** Takes the place of the process's entry, if there is one. */
  put(entry: JournalEntry): void;
  /** With its files. */
  remove(pid: number, startTime: string): void;
  entries(): JournalEntry[];
  files(pid: number, startTime: string): JournalFiles;
}
