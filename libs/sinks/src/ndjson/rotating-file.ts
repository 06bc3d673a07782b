import type {FileHandle} from 'node:fs/promises';
import {open, rename} from 'node:fs/promises';
import {constants} from 'node:fs';
import type {LogFile} from './log-file.port';
import type {MarkLog} from './mark-log';

export interface RotatingFileOptions {
  /** NAME.ndjson; older parts are NAME.1.ndjson (the youngest), NAME.2.ndjson… */
  readonly path: string;
  /** A part is closed when the next append would take it past this. */
  readonly maxBytes: number;
  /** Parts kept, the current one included. */
  readonly maxFiles: number;
  /** Told before each append. */
  readonly marks?: MarkLog;
}

const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;

/**
 * Never holds more than maxBytes · maxFiles on disk: past that the oldest part goes, and its events are counted. Lines
 * are never cut: what could not be written whole is taken back.
 */
export class RotatingFile implements LogFile {
  private handle: FileHandle | undefined;
  private size = 0;
  private inode = 0;
  /** Events of each part, the current one first. */
  private events: number[] = [0];
  private gone = 0;

  constructor(private readonly options: RotatingFileOptions) {}

  /** Events that were written and are not there any more, with the parts that held them. */
  get forgotten(): number {
    return this.gone;
  }

  async append(parts: readonly Buffer[], events: number, mark?: string): Promise<void> {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (this.handle !== undefined && this.size > 0 && this.size + length > this.options.maxBytes) await this.rotate();
    const handle = (this.handle ??= await this.open());
    try {
      this.options.marks?.begin({inode: this.inode, before: this.size, after: this.size + length, events, mark});
      await writeAll(handle, parts, length);
      this.options.marks?.done();
    } catch (error) {
      await handle.truncate(this.size).catch(() => undefined);
      throw error;
    }
    this.size += length;
    this.events[0] = (this.events[0] ?? 0) + events;
  }

  async close(): Promise<void> {
    const {handle} = this;
    this.handle = undefined;
    await handle?.close();
  }

  private async open(): Promise<FileHandle> {
    const handle = await open(this.options.path, FLAGS, 0o600);
    const {size, ino} = await handle.stat();
    this.size = size;
    this.inode = ino;
    return handle;
  }

  private async rotate(): Promise<void> {
    await this.close();
    for (let part = this.options.maxFiles - 1; part >= 1; part -= 1) {
      await rename(this.part(part - 1), this.part(part)).catch(() => undefined);
    }
    this.events = [0, ...this.events];
    for (const lost of this.events.splice(this.options.maxFiles)) this.gone += lost;
  }

  private part(number: number): string {
    return number === 0 ? this.options.path : this.options.path.replace(/(\.[^./]*)?$/, `.${number}$1`);
  }
}

/** Without copying them together; what a short write leaves is written piece by piece. */
async function writeAll(handle: FileHandle, parts: readonly Buffer[], length: number): Promise<void> {
  let skip = (await handle.writev(parts)).bytesWritten;
  if (skip === length) return;
  for (const part of parts) {
    for (let at = Math.min(skip, part.length); at < part.length;) {
      at += (await handle.write(part, at)).bytesWritten;
    }
    skip = Math.max(0, skip - part.length);
  }
}
