import type {LoggerService} from '@nestjs/common';
import type {Logger} from 'pino';
import pino from 'pino';

export type {Logger} from 'pino';

/** JSON lines on stdout. */
export function createLogger(level: string): Logger {
  return pino({level, base: null, timestamp: pino.stdTimeFunctions.isoTime}, pino.destination({dest: 1, sync: true}));
}

/** Nest's own messages through the same logger; its start-up talk only when asked for. */
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
}
