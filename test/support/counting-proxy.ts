import type {Socket} from 'node:net';
import {connect, createServer} from 'node:net';
import {freePort} from './ports';
import type {Stage} from './stage';

/** Passes TCP connections on to a port of 127.0.0.1, and counts. */
export interface CountingProxy {
  readonly port: number;
  /** Bytes so far: what clients sent to the server, and what it sent to them. */
  bytes(): {readonly sent: number; readonly received: number};
}

export async function startCountingProxy(stage: Stage, to: number): Promise<CountingProxy> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  const count = {sent: 0, received: 0};
  const server = createServer({noDelay: true}, client => {
    const upstream = connect({port: to, host: '127.0.0.1', noDelay: true});
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined); // the other end sees it closed
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', data => (count.sent += data.length)).pipe(upstream);
    upstream.on('data', data => (count.received += data.length)).pipe(client);
  });
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve));
  stage.use({
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  });
  return {port, bytes: () => ({...count})};
}
