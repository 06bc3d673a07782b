import type {LoggerService} from '@nestjs/common';
import type {Logger} from 'pino';
import pino from 'pino';

/** JSON lines on stderr: stdout belongs to events. Written at once, so that the last words are not lost. */
export function createLogger(level: string): Logger {
  return pino({level, base: null, timestamp: pino.stdTimeFunctions.isoTime}, pino.destination({dest: 2, sync: true}));
}

/** Nest's own messages through the same logger; its start-up talk only at debug level. */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, context?: string): void {
    this.logger.debug({context}, String(message));
  }

  warn(message: unknown, context?: string): void {
    this.logger.warn({context}, String(message));
  }

  error(message: unknown, stack?: string, context?: string): void {
    this.logger.error({context, stack}, String(message));
  }

  fatal(message: unknown, context?: string): void {
    this.logger.fatal({context}, String(message));
  }
}
