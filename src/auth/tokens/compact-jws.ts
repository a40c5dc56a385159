import type { DomainError } from '../../kernel/errors.js';
import { refusal } from './refusal.js';
import { parseStrictObject, StrictJsonError } from './strict-json.js';

/** Longest token that is looked at, bytes (contract: rulings). */
export const MAX_TOKEN_BYTES = 8192;

/** A token whose structure and header are sound; nothing in it is believed yet. */
export interface CompactJws {
  readonly alg: string;
  readonly kid: string | null;
  /** Media type in lower case and without `application/`; null when the header has none. */
  readonly type: string | null;
  readonly payload: Readonly<Record<string, unknown>>;
  /** What the signature is over: the first two parts, as they came. */
  readonly signed: string;
  readonly signature: Buffer;
}

/**
 * Members that bring a key along or point to one (RFC 7515 sections 4.1.2 to 4.1.6), or change what the bytes mean
 * (RFC 7797, RFC 7516); and `crit`, since nothing that it could name is understood here.
 */
const REFUSED_MEMBERS = ['jku', 'x5u', 'jwk', 'x5c', 'crit', 'b64', 'zip', 'enc'];

const BASE64URL = /^[A-Za-z0-9_-]+$/;
const KEY_ID = /^[\x20-\x7e]{1,256}$/;

/**
 * Reads a compact JWS (RFC 7515 section 7.1).
 * @throws DomainError JWT_INVALID
 */
export function readCompactJws(text: string): CompactJws {
  if (text.length > MAX_TOKEN_BYTES) throw invalid('too_long');
  const parts = text.split('.');
  const [head, body, end] = parts;
  if (parts.length !== 3 || head === undefined || body === undefined || end === undefined) throw invalid('structure');
  if (end === '') throw invalid('unsigned');
  const header = object(decoded(head), 'header');
  const found = REFUSED_MEMBERS.find((name) => Object.hasOwn(header, name));
  if (found !== undefined) throw invalid(`header_${found}`);
  return {
    alg: algorithm(header['alg']),
    kid: keyId(header['kid']),
    type: mediaType(header['typ']),
    payload: object(decoded(body), 'payload'),
    signed: text.slice(0, head.length + 1 + body.length),
    signature: decoded(end),
  };
}

/** One spelling per token: padding, other alphabets and stray last bits are refused. */
function decoded(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (!BASE64URL.test(part) || bytes.toString('base64url') !== part) throw invalid('encoding');
  return bytes;
}

function object(bytes: Buffer, what: 'header' | 'payload'): Record<string, unknown> {
  try {
    return parseStrictObject(bytes);
  } catch (error) {
    if (error instanceof StrictJsonError) throw invalid(`${what}_${error.fault}`);
    throw error;
  }
}

function algorithm(value: unknown): string {
  if (typeof value !== 'string') throw invalid('alg_type');
  return value;
}

function keyId(value: unknown): string | null {
  if (value === undefined) return null;
  if (typeof value !== 'string' || !KEY_ID.test(value)) throw invalid('kid_form');
  return value;
}

function mediaType(value: unknown): string | null {
  if (value === undefined) return null;
  if (typeof value !== 'string') throw invalid('typ_type');
  return value.toLowerCase().replace(/^application\//, '');
}

const invalid = (reason: string): DomainError => refusal('JWT_INVALID', reason);
