import type { LoggerService } from '@nestjs/common';
import type { Params } from 'nestjs-pino';
import pino, { type DestinationStream, type Logger } from 'pino';
import type { Config } from '../config/load.js';
import { logFields } from '../kernel/current-context.js';
import { mask, maskJson } from '../kernel/mask.js';
import { readableLog } from './readable-log.js';

/** A line longer than this is not taken apart, only shown in part. Characters. */
const MAX_PARSED_LINE = 1024 * 1024;

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
 * A line of pino's with its secrets masked: again one line of JSON, of bounded length. It is done here, where every
 * field has arrived, those of child loggers and serialised errors too.
 */
export function maskLine(line: string): string {
  return `${JSON.stringify(maskJson(withoutQueryValues(parsed(line) ?? remains(line))))}\n`;
}

function parsed(line: string): object | null {
  if (line.length > MAX_PARSED_LINE) return null;
  try {
    const record: unknown = JSON.parse(line);
    return typeof record === 'object' ? record : null;
  } catch {
    return null;
  }
}

/** What is told of a line that cannot be taken apart: level and time, with which pino begins every line, and its text. */
function remains(line: string): object {
  const [, level, time] = /^\{"level":"([a-z]{1,10})","time":"([0-9TZ:.-]{1,40})"/.exec(line) ?? [];
  return { level: level ?? 'error', time, msg: mask(line) };
}

/** TypeORM's errors carry the values of the query, which have no business in the log. */
function withoutQueryValues(record: object): object {
  if (!('err' in record) || typeof record.err !== 'object' || record.err === null) return record;
  return { ...record, err: { ...record.err, parameters: undefined, driverError: undefined } };
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
