import type { LoggerService } from '@nestjs/common';
import type { Params } from 'nestjs-pino';
import pino, { type DestinationStream, type Logger } from 'pino';
import type { Config } from '../config/load.js';
import { logFields } from '../kernel/current-context.js';
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
  const { isoTime } = pino.stdTimeFunctions;
  return pino({ level: config.LOG_LEVEL, base: null, timestamp: isoTime, mixin: () => logFields() }, masked);
}

/** Masks a JSON line and keeps it one line of JSON. */
function maskLine(line: string): string {
  const masked = mask(line);
  return masked.endsWith('\n') ? masked : `${masked}\n`;
}

/**
 * nestjs-pino without its middleware, which knows REST only and has request ids of its own: each edge puts its call
 * around the work (`within`), and the logger names it on every line. The audit trail is the log of requests.
 */
export const loggerParams = (logger: Logger): Params => ({ pinoHttp: { logger }, forRoutes: [] });

/** Nest's own messages: what it says while starting is only of interest when debugging. */
export function nestLogger(logger: Logger): LoggerService {
  const say =
    (level: 'debug' | 'warn' | 'error') =>
    (message: unknown, ...context: unknown[]): void => {
      logger[level]({ nest: context.map(String) }, message instanceof Error ? message.message : String(message));
    };
  return { log: say('debug'), debug: say('debug'), verbose: say('debug'), warn: say('warn'), error: say('error') };
}
