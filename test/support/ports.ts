import {connect, createServer} from 'node:net';
import {PATIENCE_MS, until} from './until';

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => {
        resolve(port);
      });
    });
  });
}

/** Resolves once something accepts on the port. */
export async function listening(port: number, timeoutMs = PATIENCE_MS): Promise<void> {
  await until(
    `a listener on port ${port}`,
    () =>
      new Promise<boolean>(resolve => {
        const socket = connect(port, '127.0.0.1', () => {
          socket.destroy();
          resolve(true);
        });
        socket.on('error', () => {
          resolve(false);
        });
      }),
    {timeoutMs},
  );
}
