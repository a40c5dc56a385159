import { parseArgs, type ParseArgsConfig } from 'node:util';
import { UsageError } from './failure.js';

/** `--help` was among the arguments. */
export class HelpWanted extends Error {}

/** What every command answers to. */
const HELP = { help: { type: 'boolean', short: 'h' } } as const;

/** `--json`, for the commands that have something to tell programs. */
export const JSON_FLAG = { json: { type: 'boolean', default: false } } as const;

/**
 * Parses a command's arguments.
 * @throws UsageError for unknown flags and missing values
 * @throws HelpWanted for `--help`
 */
export function parsed<T extends NonNullable<ParseArgsConfig['options']>>(args: string[], options: T) {
  const result = parse(args, options);
  if ((result.values as { help?: boolean }).help === true) throw new HelpWanted();
  return result;
}

function parse<T extends NonNullable<ParseArgsConfig['options']>>(args: string[], options: T) {
  try {
    return parseArgs({ args, options: { ...options, ...HELP }, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split('.')[0] ?? '') : 'unknown argument');
  }
}

/** The one positional argument. @throws UsageError with that sentence when there are none or several */
export function only(positionals: readonly string[], sentence: string): string {
  const [first, ...more] = positionals;
  if (first === undefined || more.length > 0) throw new UsageError(sentence);
  return first;
}

/** No positional argument. @throws UsageError with that sentence when there is one, which is not repeated */
export function none(positionals: readonly string[], sentence: string): void {
  if (positionals.length > 0) throw new UsageError(sentence);
}

/** A whole number in decimal digits. @throws UsageError when it is none, or less than one */
export function wholeNumber(flag: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`${flag} takes a whole number from 1`);
  return Number(text);
}
