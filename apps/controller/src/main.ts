import 'reflect-metadata';
import {NestFactory} from '@nestjs/core';
import {ScopeError, systemClock} from '@scope/core';
import {defaultConnection} from '@scope/kube';
import {readConfig} from './controller.config';
import {ControllerModule} from './controller.module';
import {createLogger, NestLogger} from './logging';

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger(config.LOG_LEVEL);
  const parts = {config, logger, connection: defaultConnection(), clock: systemClock};
  const app = await NestFactory.createApplicationContext(ControllerModule.with(parts), {
    logger: new NestLogger(logger),
    abortOnError: false,
  });
  app.enableShutdownHooks(['SIGTERM', 'SIGINT']);
}

main().catch((error: unknown) => {
  const failure = ScopeError.of(error, 'The controller could not start');
  process.stderr.write(`${failure.text}\n`);
  process.exitCode = failure.exitCode;
});
