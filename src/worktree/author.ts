import type { Principal } from '../kernel/principal.js';

const MAX_NAME = 100;
const ADDRESS = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}$/;

/** Who a commit is by. */
export interface Author {
  readonly name: string;
  readonly email: string;
}

/**
 * The principal as the author of a commit: with its name, else its subject; and with its address, else one made of its
 * subject and tenant, under `.invalid`, so that it is nobody's (RFC 2606).
 */
export function authorOf({ displayName, subject, email, tenant }: Principal): Author {
  const address =
    email !== undefined && ADDRESS.test(email) ? email : `${part(subject)}@${label(tenant)}.gatehouse.invalid`;
  return { name: nameOf(displayName) || nameOf(subject) || 'unknown', email: address };
}

/** Without what ends a name in a commit, and without what git itself takes off its ends. */
const nameOf = (text: string | undefined): string =>
  (text ?? '')
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}<>]/gu, '')
    .slice(0, MAX_NAME)
    .toWellFormed()
    .replace(/^[\s.,:;"'\\]+|[\s.,:;"'\\]+$/g, '');

const part = (text: string): string => text.replace(/[^A-Za-z0-9._+-]/g, '-').slice(0, 64);
const label = (text: string): string => text.replace(/[^A-Za-z0-9-]/g, '-').slice(0, 63);
