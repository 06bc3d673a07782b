import type {Socket} from 'node:net';
import {Agent, request} from 'node:http';
import {FILE_SIZES, fileName, patternOf} from './content';
import type {Load} from './load';
import {Lanes} from './load';
import type {HttpServer} from './servers';

export interface HttpLoadOptions {
  /** Requests on their way at the same time. */
  readonly lanes?: number;
  /** Default true: connections are used again. */
  readonly keepAlive?: boolean;
  /** Default true: some requests are HEAD. */
  readonly heads?: boolean;
}

export interface HttpLoad extends Load {
  /** Verified answers by status code. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Opened so far: as many as lanes, unless one was dropped. */
  readonly connections: number;
  /** What its sockets have written and read so far. */
  bytes(): {readonly written: number; readonly read: number};
}

interface Wish {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly path: string;
  readonly body?: Buffer;
  readonly expected: Buffer;
}

const files = FILE_SIZES.map(size => ({path: `/${fileName(size)}`, bytes: patternOf(size)}));

/** A fixed round of wishes: each file, a HEAD, and where the server can, posts of many sizes. */
function wish(turn: number, echoes: boolean, heads: boolean): Wish {
  const file = files[turn % files.length];
  if (file === undefined) throw new Error('no files');
  if (heads && turn % 7 === 3) return {method: 'HEAD', path: file.path, expected: Buffer.alloc(0)};
  if (echoes && turn % 3 === 1) {
    const body = patternOf(1 + ((turn * 7919) % 9_000));
    return {method: 'POST', path: '/echo', body, expected: body};
  }
  return {method: 'GET', path: file.path, expected: file.bytes};
}

async function exchange(
  port: number,
  agent: Agent,
  sockets: Set<Socket>,
  {method, path, body, expected}: Wish,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({host: '127.0.0.1', port, agent, method, path, timeout: 20_000}, response => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const received = Buffer.concat(parts);
        const status = response.statusCode ?? 0;
        if (status !== 200) reject(new Error(`${method} ${path}: status ${status}`));
        else if (!received.equals(expected)) {
          reject(
            new Error(`${method} ${path}: ${received.length} bytes that differ from the ${expected.length} expected`),
          );
        } else resolve(status);
      });
    });
    outgoing.on('socket', socket => sockets.add(socket));
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer for 20 s`)));
    outgoing.on('error', reject);
    if (body !== undefined) outgoing.setHeader('content-length', body.length);
    outgoing.end(body);
  });
}

/** Requests without end; every byte of every answer is compared. */
export function startHttpLoad(
  {port, echoes}: Pick<HttpServer, 'port' | 'echoes'>,
  {lanes = 4, keepAlive = true, heads = true}: HttpLoadOptions = {},
): HttpLoad {
  const agent = new Agent({keepAlive, maxSockets: lanes, noDelay: true});
  const sockets = new Set<Socket>();
  const statuses = new Map<number, number>();
  let turn = 0;
  const step = async (): Promise<void> => {
    turn += 1;
    const status = await exchange(port, agent, sockets, wish(turn, echoes, heads));
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  };
  const load = new Lanes(Array.from({length: lanes}, () => step));
  return {
    statuses,
    get connections() {
      return sockets.size;
    },
    bytes: () => {
      let written = 0;
      let read = 0;
      for (const socket of sockets) {
        written += socket.bytesWritten;
        read += socket.bytesRead;
      }
      return {written, read};
    },
    errors: load.errors,
    get done() {
      return load.done;
    },
    pause: () => load.pause(),
    resume: () => {
      load.resume();
    },
    close: async () => {
      await load.close();
      agent.destroy();
    },
  };
}
