import { randomBytes, randomUUIDv7 } from 'node:crypto';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A new UUIDv7 (RFC 9562): sorts by time of creation. */
export function newId(): string {
  return randomUUIDv7();
}

/** Is it a UUID in its canonical lower-case form? */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

/** A random token of the given number of bytes, in URL-safe base64. */
export function randomToken(bytes: number): string {
  return randomBytes(bytes).toString('base64url');
}
