/** Masks secrets in values of every kind: what a log line, an error's details or an audit event is made of. */
import { mask } from './mask.js';
import { isSecretHeader, isSecretName } from './secret-forms.js';

/** What a value keeps: values in all, characters in all, levels. */
const MAX_VALUES = 2000;
const MAX_CHARACTERS = 65_536;
const MAX_DEPTH = 12;
/** What stands for a secret that is known by its name only. */
export const HIDDEN = 'secret_****';
const CUT = '…';

/**
 * A copy of a value as plain JSON with every secret masked: the value of every field, map entry and header with a secret
 * name, and what a text holds. Errors become their type, message, stack, cause and own fields; bytes become their
 * number. Bounded: what is too deep or too much is replaced by `…`.
 */
export function maskValue(value: unknown): unknown {
  return within({ values: MAX_VALUES, characters: MAX_CHARACTERS }, value, 0);
}

/** What may still be kept. */
interface Budget {
  values: number;
  characters: number;
}

function within(budget: Budget, value: unknown, depth: number): unknown {
  budget.values -= 1;
  if (budget.values < 0 || budget.characters < 0) return CUT;
  if (typeof value === 'string') return text(budget, value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return CUT;
  return ofObject(budget, value, depth);
}

function ofObject(budget: Budget, value: object, depth: number): unknown {
  const size = bytesIn(value);
  if (size !== undefined) return `${String(size)} bytes`;
  if (Array.isArray(value)) return list(budget, value, depth);
  if (value instanceof Set) return list(budget, [...firstOf(budget, value)], depth);
  if (value instanceof Map) return fields(budget, entriesOf(firstOf(budget, value)), depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof URL) return text(budget, value.href);
  if (value instanceof Error) return fields(budget, partsOf(value), depth);
  return fields(budget, Object.entries(value), depth);
}

/** How many bytes it is, as themselves or as JSON has written them; undefined when it is something else. */
function bytesIn(value: object): number | undefined {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  if ('type' in value && value.type === 'Buffer' && 'data' in value && Array.isArray(value.data)) {
    return value.data.length;
  }
  // A Uint8Array in JSON.
  if (Array.isArray(value) || !('0' in value)) return undefined;
  const numbers: unknown[] = Object.values(value);
  return numbers.every(isByte) ? numbers.length : undefined;
}

const isByte = (value: unknown): boolean =>
  typeof value === 'number' && value >= 0 && value <= 255 && Number.isInteger(value);

/** `name, value, name, value` as Node has headers, pairs of the two, and a PEM text line by line are known as such. */
function list(budget: Budget, values: readonly unknown[], depth: number): unknown[] {
  const [first] = values;
  const isPair = values.length === 2 && typeof first === 'string' && isSecretName(first);
  let secret = false;
  let pem = false;
  return values.slice(0, Math.max(0, budget.values) + 1).map((each) => {
    const hide = secret || pem;
    secret = typeof each === 'string' && (isSecretHeader(each) || (isPair && each === first));
    if (typeof each === 'string') pem = pem ? !each.includes('-----END ') : isOpenPem(each);
    return hide && each !== null ? HIDDEN : within(budget, each, depth + 1);
  });
}

const isOpenPem = (line: string): boolean =>
  line.lastIndexOf('-----BEGIN ') > line.lastIndexOf('-----END ') && line.includes('PRIVATE KEY');

function fields(budget: Budget, entries: readonly (readonly [string, unknown])[], depth: number): object {
  const names = new Map(entries.slice(0, 16));
  const named = names.get('name') ?? names.get('key');
  // One header as an object: its name in one field, its value in another.
  const isSecretPair = typeof named === 'string' && names.has('value') && isSecretName(named);
  const masked = entries
    .slice(0, Math.max(0, budget.values) + 1)
    .map(([name, field]): [string, unknown] => [
      text(budget, name),
      field !== null && field !== undefined && (isSecretName(name) || (isSecretPair && name === 'value'))
        ? HIDDEN
        : within(budget, field, depth + 1),
    ]);
  // Not by assignment: a field may be called __proto__.
  return Object.fromEntries(masked);
}

/** What an error says; its own fields come after, as libraries put addresses and requests there. */
function partsOf(error: Error): [string, unknown][] {
  const { message, stack, cause } = error;
  const own = Object.entries(error).filter(([name]) => !['name', 'message', 'stack', 'cause'].includes(name));
  return [
    ['type', error.name],
    ['message', message],
    ['stack', stack],
    ...(cause === undefined ? [] : [['cause', cause] as [string, unknown]]),
    ...(error instanceof AggregateError ? [['errors', error.errors] as [string, unknown]] : []),
    ...own,
  ];
}

function* firstOf<T>(budget: Budget, values: Iterable<T>): Generator<T> {
  let left = Math.max(0, budget.values) + 1;
  for (const value of values) {
    if ((left -= 1) < 0) return;
    yield value;
  }
}

/** A map's keys may be anything; what is no text is told as JSON. */
function entriesOf(entries: Iterable<[unknown, unknown]>): [string, unknown][] {
  return [...entries].map(([key, value]) => [
    typeof key === 'string' ? key : JSON.stringify(maskValue(key) ?? null),
    value,
  ]);
}

function text(budget: Budget, value: string): string {
  const masked = mask(value);
  const kept = masked.length > budget.characters ? `${masked.slice(0, Math.max(budget.characters, 0))}${CUT}` : masked;
  budget.characters -= masked.length;
  return kept;
}
