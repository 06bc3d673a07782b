import type {Server} from 'node:http';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown} from '@nestjs/common';
import type {ControllerConfig} from './controller.config';
import {ControllerService} from './controller.service';
import {CONFIG} from './tokens';

/**
 * For the kubelet: /healthz answers while the program runs at all, /readyz once it can do its work: as leader with a
 * full view of the cluster, or waiting to become one.
 */
@Injectable()
export class HealthServer implements OnApplicationBootstrap, OnApplicationShutdown {
  private server: Server | undefined;

  constructor(
    @Inject(CONFIG) private readonly config: ControllerConfig,
    private readonly controller: ControllerService,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const server = createServer((request, response) => {
      const well = request.url === '/healthz' || (request.url === '/readyz' && this.controller.isReady);
      response.writeHead(well ? 200 : request.url === '/readyz' ? 503 : 404, {'content-type': 'text/plain'});
      response.end(well ? 'ok' : 'no');
    });
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.config.HEALTH_PORT, this.config.HEALTH_HOST, resolve);
    });
  }

  /** Where it listens; 0 before it does. */
  get port(): number {
    return (this.server?.address() as AddressInfo | null)?.port ?? 0;
  }

  onApplicationShutdown(): void {
    this.server?.closeAllConnections();
    this.server?.close();
  }
}
