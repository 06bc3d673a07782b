import 'reflect-metadata';
import {NestFactory} from '@nestjs/core';
import {ScopeError, systemClock} from '@scope/core';
import {defaultConnection} from '@scope/kube';
import {createLogger, logWarnings, NestLogger} from '@scope/logging';
import {readConfig} from './controller.config';
import {ControllerModule} from './controller.module';

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const logger = createLogger(config.LOG_LEVEL, 'stdout');
  logWarnings(logger);
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
