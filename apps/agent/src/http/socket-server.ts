import {chmodSync, mkdirSync, rmSync} from 'node:fs';
import type {Server} from 'node:http';
import {createServer} from 'node:http';
import {connect} from 'node:net';
import {dirname} from 'node:path';
import {ScopeError} from '@scope/core';
import type {Router} from './router';

/**
 * HTTP on a unix socket that only its owner can open (0600 in a folder 0700). A socket left by an agent that died is
 * replaced; one that is answered is not: then `listen` rejects with AgentUnavailable.
 */
export class SocketServer {
  private server: Server | undefined;

  constructor(
    private readonly path: string,
    private readonly router: Router,
  ) {}

  async listen(): Promise<void> {
    const directory = dirname(this.path);
    mkdirSync(directory, {recursive: true, mode: 0o700});
    if (await isAnswered(this.path)) {
      throw new ScopeError('AgentUnavailable', `Another agent answers on ${this.path} already.`, {
        details: {socket: this.path},
        advice: 'Use it, or give this one a socket of its own (SCOPE_SOCKET).',
      });
    }
    rmSync(this.path, {force: true});
    const server = createServer((request, response) => void this.router.handle(request, response));
    server.keepAliveTimeout = 1000;
    this.server = server;
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(this.path, resolve);
      });
    } finally {
      process.umask(mask);
    }
    chmodSync(this.path, 0o600);
  }

  /** Takes no new connection, and the socket's name goes; what is being answered goes on. */
  stopListening(): void {
    this.server?.close();
    this.server?.closeIdleConnections();
  }

  /** Ends what is still open. */
  close(): void {
    this.stopListening();
    this.server?.closeAllConnections();
  }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path);
    const answer = (is: boolean) => () => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', answer(true)).once('error', answer(false));
  });
}
