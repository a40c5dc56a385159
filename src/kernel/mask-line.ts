import { mask } from './mask.js';
import { maskValue } from './mask-value.js';

/** A line longer than this is not taken apart, only shown in part. Characters. */
const MAX_PARSED_LINE = 1024 * 1024;

/**
 * A line of pino's with its secrets masked: again one line of JSON, of bounded length. It is done where a line is
 * written, where every field has arrived, those of child loggers and serialised errors too.
 */
export function maskLine(line: string): string {
  return `${JSON.stringify(maskValue(withoutQueryValues(parsed(line) ?? remains(line))))}\n`;
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
  const [, level, time] = /^\{"level":"?([a-z0-9]{1,10})"?,"time":"?([0-9TZ:.-]{1,40})"?/.exec(line) ?? [];
  return { level: level ?? 'error', time, msg: mask(line) };
}

/** TypeORM's errors carry the values of the query, which have no business in the log. */
function withoutQueryValues(record: object): object {
  if (!('err' in record) || typeof record.err !== 'object' || record.err === null) return record;
  return { ...record, err: { ...record.err, parameters: undefined, driverError: undefined } };
}
