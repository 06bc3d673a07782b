/** The other end of a live stream: what of Node's Writable is needed (an HTTP response is one). */
export interface LineWriter {
  /** False: it took the bytes, but wants a pause until 'drain'. */
  write(bytes: Buffer | string): boolean;
  on(event: 'drain' | 'close', listener: () => void): unknown;
  end(): unknown;
}
