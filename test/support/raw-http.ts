import type {Socket} from 'node:net';
import {connect} from 'node:net';
import {setTimeout as sleep} from 'node:timers/promises';
import {until} from './until';

/** A TCP connection on which a test says exactly what it likes, in exactly the pieces it likes. */
export class RawConnection {
  private readonly socket: Socket;
  private text = '';
  private ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1').on('data', (part: string) => {
      this.text += part;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.ended = true;
    });
  }

  static async open(port: number): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({port, host: '127.0.0.1', noDelay: true}, () => {
        resolve(new RawConnection(socket));
      });
      socket.on('error', reject);
    });
  }

  say(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Each byte as a segment of its own. */
  async spell(text: string): Promise<void> {
    for (const byte of text) {
      this.say(byte);
      await sleep(1);
    }
  }

  /** Waits until `count` answers have come whose text holds `mark`; everything received since the last call. */
  async hear(mark: string, count = 1): Promise<string> {
    await until(`"${mark}" ${count} times (got ${JSON.stringify(this.text.slice(-200))})`, () => {
      const times = this.text.split(mark).length - 1;
      if (times < count && this.ended) throw new Error(`closed after ${JSON.stringify(this.text.slice(-200))}`);
      return times >= count;
    });
    const heard = this.text;
    this.text = '';
    return heard;
  }

  close(): void {
    this.socket.destroy();
  }
}
