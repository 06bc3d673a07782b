import type {LoggerService} from '@nestjs/common';
import type {Logger} from 'pino';
import pino from 'pino';

export type {Logger} from 'pino';

const DESCRIPTORS = {stdout: 1, stderr: 2} as const;

/** JSON lines of that level and above. Written at once, so that the last words are not lost. */
export function createLogger(level: string, stream: keyof typeof DESCRIPTORS): Logger {
  const destination = pino.destination({dest: DESCRIPTORS[stream], sync: true});
  return pino({level, base: null, timestamp: pino.stdTimeFunctions.isoTime}, destination);
}

/** What Node.js itself warns of goes through the logger too: its text would be a line among others that are JSON. */
export function logWarnings(logger: Logger): void {
  process.removeAllListeners('warning');
  process.on('warning', ({name, message, stack}) => {
    logger.warn({name, stack}, message);
  });
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
