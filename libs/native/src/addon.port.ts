/**
 * What scope.node exports (native/addon/src/addon.cc). Raise INTERFACE on both sides when any of it changes: a file of
 * another build is then refused instead of misread.
 */
export const ADDON_INTERFACE = 2;

/** Of scope_decoder.h. */
export const BATCH_EVENTS = 1;
export const BATCH_END = 2;

/**
 * Called once a batch, in the decoder's order. Each must be acknowledged: 64 that are not stop the decoder. `summary`: JSON
 * of what the lines come to; "" with a session's end.
 */
export type AddonCallback = (session: number, kind: number, bytes: Buffer, events: number, summary: string) => void;

export interface AddonHub {
  /** The session's id, or the decoder's refusal: {"reason":…,"message":…}. */
  open(config: string): number | string;
  /** One batch of the session, of either kind, has been taken. Also after its end. */
  ack(session: number): void;
  /** Gives a batch's memory back at once: its buffer, and whatever views it, has no bytes afterwards. */
  free(bytes: Buffer): void;
  /** The number that `flushed` in the session's stats must reach; 0: no such session. */
  flush(session: number): number;
  /** undefined: no such session. */
  stats(session: number): string | undefined;
  /** false: no such session. */
  close(session: number): boolean;
  /** Batches handed over by the decoder so far, taken or not, of all sessions. */
  queued(): number;
}

export interface Addon {
  readonly interface: number;
  readonly Hub: new (callback: AddonCallback) => AddonHub;
}
