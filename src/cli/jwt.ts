import { createHmac } from 'node:crypto';

/** A token taken apart, nothing of it believed. */
export interface Jwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  /** What the signature is over. */
  readonly signed: string;
  readonly signature: string;
}

/** The parts of a compact JWS (RFC 7515, section 3.1) with JSON in it; null when the text is none. */
export function readJwt(text: string): Jwt | null {
  const [, head, payload, signature] = /^([\w-]+)\.([\w-]+)\.([\w-]*)$/.exec(text) ?? [];
  if (head === undefined || payload === undefined || signature === undefined) return null;
  const header = objectIn(head);
  const claims = objectIn(payload);
  return header === null || claims === null ? null : { header, claims, signed: `${head}.${payload}`, signature };
}

/**
 * Was the token signed with this secret? Only HS256 can be checked with one.
 * @param secret null when there is none
 */
export function signatureOf(jwt: Jwt, secret: string | null): 'valid' | 'not of this secret' | 'not checked' {
  if (secret === null || jwt.header['alg'] !== 'HS256') return 'not checked';
  const expected = createHmac('sha256', secret).update(jwt.signed).digest('base64url');
  return expected === jwt.signature ? 'valid' : 'not of this secret';
}

function objectIn(part: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    const object = typeof value === 'object' && value !== null && !Array.isArray(value);
    return object ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
