import { malformed } from './errors.js';

/** A JSON object as it came, nothing of it believed yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** The object in a JSON text. @throws AttachError malformed */
export function parseObject(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('a message is not JSON');
  }
  return asFields(value, 'a message');
}

/** @throws AttachError malformed when it is no object */
export function asFields(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw malformed(`${what} is no object`);
}

/** A whole number from 0 to 2^53 - 1. @throws AttachError malformed */
export function integer(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed(`${name} is no whole number`);
}

/** @throws AttachError malformed */
export function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === 'string') return value;
  throw malformed(`${name} is no text`);
}

/** @throws AttachError malformed */
export function flag(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (typeof value === 'boolean') return value;
  throw malformed(`${name} is neither true nor false`);
}

/** One of a few words. @throws AttachError malformed */
export function word<const T extends string>(fields: Fields, name: string, words: readonly T[]): T {
  const found = words.find((each) => each === fields[name]);
  if (found !== undefined) return found;
  throw malformed(`${name} is none of ${words.join(', ')}`);
}

/** What may be missing or null. */
export function orNull<T>(fields: Fields, name: string, read: (fields: Fields, name: string) => T): T | null {
  return fields[name] === undefined || fields[name] === null ? null : read(fields, name);
}
