import type {DynamicModule} from '@nestjs/common';
import {Module} from '@nestjs/common';
import type {Clock} from '@scope/core';
import type {ClusterConnection} from '@scope/kube';
import {KubeClient} from '@scope/kube';
import type {Logger} from '@scope/logging';
import type {ControllerConfig} from './controller.config';
import {ControllerService} from './controller.service';
import {HealthServer} from './health.server';
import {CLOCK, CONFIG, LOGGER} from './tokens';

/** What the program can't make itself. */
export interface ControllerParts {
  readonly config: ControllerConfig;
  readonly connection: ClusterConnection;
  readonly logger: Logger;
  readonly clock: Clock;
}

@Module({})
export class ControllerModule {
  static with({config, connection, logger, clock}: ControllerParts): DynamicModule {
    return {
      module: ControllerModule,
      providers: [
        {provide: CONFIG, useValue: config},
        {provide: LOGGER, useValue: logger},
        {provide: CLOCK, useValue: clock},
        {provide: KubeClient, useValue: new KubeClient(connection, 'scope-controller')},
        ControllerService,
        HealthServer,
      ],
    };
  }
}
