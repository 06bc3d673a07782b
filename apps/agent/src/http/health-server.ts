import type {Server} from 'node:http';
import {createServer} from 'node:http';
import type {Router} from './router';

/** Probes and metrics over TCP, for a node's kubelet and Prometheus; nothing else is reachable there. */
export class HealthServer {
  private server: Server | undefined;

  constructor(private readonly router: Router) {}

  listen(port: number): Promise<void> {
    const server = createServer((request, response) => void this.router.handle(request, response));
    this.server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject).listen(port, '0.0.0.0', resolve);
    });
  }

  close(): void {
    this.server?.close();
    this.server?.closeAllConnections();
  }
}
