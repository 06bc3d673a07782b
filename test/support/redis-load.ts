import type {Socket} from 'node:net';
import {connect} from 'node:net';
import {patternOf} from './content';
import type {Load} from './load';
import {Lanes} from './load';

/** One connection that speaks RESP, one command at a time. */
class RedisConnection {
  private readonly socket: Socket;
  private received: Buffer = Buffer.alloc(0);
  private wanted = 0;
  private settle: {resolve: (bytes: Buffer) => void; reject: (error: Error) => void} | undefined;

  constructor(port: number) {
    this.socket = connect({port, host: '127.0.0.1', noDelay: true});
    this.socket.on('data', (part: Buffer) => {
      this.received = this.received.length === 0 ? part : Buffer.concat([this.received, part]);
      if (this.received.length < this.wanted || this.settle === undefined) return;
      const {resolve} = this.settle;
      this.settle = undefined;
      const bytes = this.received;
      this.received = Buffer.alloc(0);
      resolve(bytes);
    });
    const fail = (error?: Error): void => {
      this.settle?.reject(error ?? new Error('redis closed the connection'));
      this.settle = undefined;
    };
    this.socket.on('error', fail);
    this.socket.on('close', () => {
      fail();
    });
  }

  /** Sends a command and compares the answer with `expected`. */
  async ask(parts: readonly (string | Buffer)[], expected: Buffer): Promise<void> {
    const pieces: Buffer[] = [Buffer.from(`*${parts.length}\r\n`)];
    for (const part of parts) {
      const bytes = Buffer.from(part);
      pieces.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
    }
    this.wanted = expected.length;
    const answer = await new Promise<Buffer>((resolve, reject) => {
      this.settle = {resolve, reject};
      this.socket.write(Buffer.concat(pieces));
    });
    if (!answer.equals(expected)) {
      throw new Error(`${String(parts[0])}: ${answer.subarray(0, 60).toString('latin1')} (${answer.length} bytes)`);
    }
  }

  /** What it has written and read so far. */
  bytes(): {written: number; read: number} {
    return {written: this.socket.bytesWritten, read: this.socket.bytesRead};
  }

  close(): void {
    this.socket.destroy();
  }
}

const OK = Buffer.from('+OK\r\n');

export interface RedisLoad extends Load {
  /** What its sockets have written and read so far. */
  bytes(): {readonly written: number; readonly read: number};
}

/** SET and GET of values from 1 byte to 20 kB, each answer compared. One step is one SET and one GET. */
export function startRedisLoad(port: number, lanes = 4): RedisLoad {
  const connections = Array.from({length: lanes}, () => new RedisConnection(port));
  let turn = 0;
  const load = new Lanes(
    connections.map((connection, lane) => async () => {
      turn += 1;
      const value = patternOf(1 + ((turn * 7919) % 20_000));
      const key = `key-${lane}-${turn % 50}`;
      await connection.ask(['SET', key, value], OK);
      await connection.ask(
        ['GET', key],
        Buffer.concat([Buffer.from(`$${value.length}\r\n`), value, Buffer.from('\r\n')]),
      );
    }),
  );
  return {
    errors: load.errors,
    get done() {
      return load.done;
    },
    bytes: () => {
      const all = connections.map(connection => connection.bytes());
      const sum = (of: 'written' | 'read'): number => all.reduce((total, bytes) => total + bytes[of], 0);
      return {written: sum('written'), read: sum('read')};
    },
    pause: () => load.pause(),
    resume: () => {
      load.resume();
    },
    close: async () => {
      await load.close();
      for (const connection of connections) connection.close();
    },
  };
}
