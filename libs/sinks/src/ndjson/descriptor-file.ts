import {closeSync, constants, fstatSync, openSync, write} from 'node:fs';
import {promisify} from 'node:util';
import {errnoOf} from '@scope/core';
import type {LogFile} from './log-file.port';

const writeTo = promisify(write);
const RETRY_MS = 5;

/**
 * An open descriptor that is not ours to close: stdout. A full pipe is waited for without a thread that stands in
 * write(2): such a thread could not be ended, and this program with it neither.
 */
export class DescriptorFile implements LogFile {
  private readonly own: number | undefined;
  private isClosed = false;

  constructor(
    private readonly descriptor: number,
    private readonly sleep: (ms: number) => Promise<void>,
  ) {
    this.own = openUnblocked(descriptor);
  }

  async append(parts: readonly Buffer[]): Promise<void> {
    for (const part of parts) await this.write(part);
  }

  close(): Promise<void> {
    if (!this.isClosed && this.own !== undefined) closeSync(this.own);
    this.isClosed = true;
    return Promise.resolve();
  }

  private async write(bytes: Buffer): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      if (this.isClosed) throw new Error('it was closed meanwhile');
      try {
        const left = bytes.length - written;
        written += (await writeTo(this.own ?? this.descriptor, bytes, written, left, null)).bytesWritten;
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') throw error;
        await this.sleep(RETRY_MS);
      }
    }
  }
}

/**
 * The same pipe, opened anew and never blocking: the flag is the opening's own, others who hold the pipe don't see it.
 * Undefined where it is no pipe, or can't be opened.
 */
function openUnblocked(descriptor: number): number | undefined {
  try {
    if (!fstatSync(descriptor).isFIFO()) return undefined;
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}
