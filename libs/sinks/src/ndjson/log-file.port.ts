/** Where lines end up. Every method rejects with Node's system errors. */
export interface LogFile {
  /** Appends all of them, which hold so many events, in order; `mark`: of the last of them (EventBatch.mark). On failure nothing is left behind, as far as it can be. */
  append(parts: readonly Buffer[], events: number, mark?: string): Promise<void>;
  close(): Promise<void>;
}
