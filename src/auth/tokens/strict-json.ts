/** Arrays and objects within one another; what identity providers publish has four or five. */
const MAX_DEPTH = 32;

const SPACE = /[ \t\n\r]*/y;
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/sy;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;
const LITERALS: Readonly<Record<string, boolean | null>> = { true: true, false: false, null: null };

/** Why bytes are not JSON that may be believed; a fixed word. */
export type JsonFault =
  'not_utf8' | 'not_json' | 'not_an_object' | 'duplicate_member' | 'forbidden_member' | 'too_deep' | 'number_range';

/** Bytes that are not strict JSON. Carries nothing of them. */
export class StrictJsonError extends Error {
  constructor(readonly fault: JsonFault) {
    super(fault);
    this.name = 'StrictJsonError';
  }
}

/**
 * JSON (RFC 8259) that every reader understands alike, which `JSON.parse` does not promise: a member that comes twice, a
 * number beyond what can be held, bytes that are not UTF-8 and a member `__proto__` are refused (I-JSON, RFC 7493; RFC
 * 8725 section 2.4).
 * @param bytes bounded by the caller
 * @throws StrictJsonError
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  return new Reader(decode(bytes)).document();
}

/**
 * Such JSON whose outermost value is an object.
 * @throws StrictJsonError
 */
export function parseStrictObject(bytes: Uint8Array): Record<string, unknown> {
  const value = parseStrictJson(bytes);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new StrictJsonError('not_an_object');
  return value as Record<string, unknown>;
}

function decode(bytes: Uint8Array): string {
  try {
    // A byte order mark is kept, and is then no JSON.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new StrictJsonError('not_utf8');
  }
}

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  document(): unknown {
    const value = this.#value(0);
    this.#take(SPACE);
    if (this.#at !== this.text.length) throw new StrictJsonError('not_json');
    return value;
  }

  #value(depth: number): unknown {
    if (depth > MAX_DEPTH) throw new StrictJsonError('too_deep');
    this.#take(SPACE);
    switch (this.text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      case 't':
      case 'f':
      case 'n':
        return LITERALS[this.#need(LITERAL)];
      default:
        return this.#number();
    }
  }

  #object(depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#list('}', () => {
      const name = this.#string();
      if (name === '__proto__') throw new StrictJsonError('forbidden_member');
      if (Object.hasOwn(object, name)) throw new StrictJsonError('duplicate_member');
      this.#take(SPACE);
      this.#symbol(':');
      object[name] = this.#value(depth + 1);
    });
    return object;
  }

  #array(depth: number): unknown[] {
    const array: unknown[] = [];
    this.#list(']', () => {
      array.push(this.#value(depth + 1));
    });
    return array;
  }

  /** What stands between an opening and a closing symbol, separated by commas. */
  #list(end: '}' | ']', item: () => void): void {
    this.#at += 1;
    this.#take(SPACE);
    if (this.text[this.#at] === end) {
      this.#at += 1;
      return;
    }
    for (;;) {
      this.#take(SPACE);
      item();
      this.#take(SPACE);
      if (this.text[this.#at] === end) break;
      this.#symbol(',');
    }
    this.#at += 1;
  }

  /** Where it ends is found here; its escapes are read by the platform. */
  #string(): string {
    const literal = this.#need(STRING);
    try {
      return JSON.parse(literal) as string;
    } catch {
      throw new StrictJsonError('not_json');
    }
  }

  #number(): number {
    const value = Number(this.#need(NUMBER));
    if (!Number.isFinite(value)) throw new StrictJsonError('number_range');
    return value;
  }

  #symbol(symbol: string): void {
    if (this.text[this.#at] !== symbol) throw new StrictJsonError('not_json');
    this.#at += 1;
  }

  #need(pattern: RegExp): string {
    const found = this.#take(pattern);
    if (found === '') throw new StrictJsonError('not_json');
    return found;
  }

  /** What the sticky pattern matches here, which is then behind us; empty when it does not. */
  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }
}
