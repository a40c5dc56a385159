import type { LoggerService } from '@nestjs/common';
import type { Params } from 'nestjs-pino';
import pino, { type DestinationStream, type Logger } from 'pino';
import type { Config } from '../config/load.js';
import { mask } from '../kernel/mask.js';
import { readableLog } from './readable-log.js';

/**
 * The one logger: JSON for machines, readable in a terminal, every line masked as a whole just before it is written, so
 * that no secret passes in whatever field it stands.
 */
export function createLogger(config: Config): Logger {
  const readable = config.LOG_FORMAT === 'pretty' || (config.LOG_FORMAT === 'auto' && process.stdout.isTTY);
  const target: DestinationStream = readable ? readableLog() : process.stdout;
  const masked: DestinationStream = {
    write: (line) => {
      target.write(maskLine(line));
    },
  };
  return pino({ level: config.LOG_LEVEL, base: null, timestamp: pino.stdTimeFunctions.isoTime }, masked);
}

/** Masks a JSON line and keeps it one line of JSON. */
function maskLine(line: string): string {
  const masked = mask(line);
  return masked.endsWith('\n') ? masked : `${masked}\n`;
}

/** nestjs-pino without its own request log: the audit trail and the error filter say what is worth saying. */
export const loggerParams = (logger: Logger): Params => ({
  pinoHttp: { logger, autoLogging: false, quietReqLogger: true },
});

/** Nest's own messages: what it says while starting is only of interest when debugging. */
export function nestLogger(logger: Logger): LoggerService {
  const say =
    (level: 'debug' | 'warn' | 'error') =>
    (message: unknown, ...context: unknown[]): void => {
      logger[level]({ nest: context.map(String) }, message instanceof Error ? message.message : String(message));
    };
  return { log: say('debug'), debug: say('debug'), verbose: say('debug'), warn: say('warn'), error: say('error') };
}
