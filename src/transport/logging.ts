import type { LoggerService } from '@nestjs/common';
import type { Params } from 'nestjs-pino';
import pino, { type DestinationStream, type Logger } from 'pino';
import type { Config } from '../config/load.js';
import { logFields } from '../kernel/current-context.js';
import { maskLine } from '../kernel/mask-line.js';
import { readableLog } from './readable-log.js';

/**
 * The one logger: JSON for machines, readable in a terminal, every line masked just before it is written, so that no
 * secret passes in whatever field it stands.
 */
export function createLogger(config: Config): Logger {
  const readable = config.LOG_FORMAT === 'pretty' || (config.LOG_FORMAT === 'auto' && process.stdout.isTTY);
  return loggerTo(readable ? readableLog() : process.stdout, config.LOG_LEVEL);
}

/** The logger over any destination, which gets one masked line of JSON per call. */
export function loggerTo(target: DestinationStream, level: Config['LOG_LEVEL']): Logger {
  const masked: DestinationStream = {
    write: (line) => {
      target.write(maskLine(line));
    },
  };
  const { isoTime } = pino.stdTimeFunctions;
  // By name, as in the audit events that stand among the lines.
  const formatters = { level: (label: string) => ({ level: label }) };
  return pino({ level, base: null, timestamp: isoTime, formatters, mixin: () => logFields() }, masked);
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
