import { hash, randomBytes } from 'node:crypto';
import { readKey } from '../kernel/api-key-text.js';

/** Of a credential, what it names: an API key, a subject, or neither. */
export type NameKind = 'api_key' | 'subject' | 'unnamed';

/** What a credential names, before anything in it is believed. */
export interface CredentialName {
  readonly kind: NameKind;
  /** A number that stands for it: of fixed size, and nobody outside can find another name with the same one. */
  readonly id: number;
}

const SALT = randomBytes(16).toString('base64url');
/** Bytes of a hash that a number holds exactly. */
const EXACT_BYTES = 6;

/** What this credential names. One that names neither a key nor a subject has the same name as all of those. */
export function nameOf(text: string): CredentialName {
  const key = readKey(text);
  if (key !== null) return named('api_key', key.key.id);
  const subject = subjectIn(text);
  return subject === null ? { kind: 'unnamed', id: 0 } : named('subject', subject);
}

const named = (kind: NameKind, name: string): CredentialName => ({
  kind,
  id: hash('sha256', `${SALT}${kind} ${name}`, 'buffer').readUIntLE(0, EXACT_BYTES),
});

/** Issuer and subject that a token speaks of; null for what is no token, or says neither. */
function subjectIn(text: string): string | null {
  const body = text.split('.', 3)[1];
  if (body === undefined) return null;
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
  } catch {
    return null;
  }
  if (typeof claims !== 'object' || claims === null) return null;
  const { iss, sub, userId } = claims as Record<string, unknown>;
  const subject = sub ?? userId;
  return typeof subject === 'string' ? JSON.stringify([typeof iss === 'string' ? iss : null, subject]) : null;
}
