import { z } from 'zod';
import type { DomainError } from '../../kernel/errors.js';
import { claimText, typed } from './claim-types.js';
import { refusal } from './refusal.js';

/** What a token must be measured by. */
export interface Expectation {
  /** Accepted difference between our clock and the issuer's. */
  readonly skewSeconds: number;
  readonly maxLifetimeSeconds: number;
  /** One of these must be in `aud`. */
  readonly audiences: readonly string[];
}

/** When a token is good, seconds since 1970. */
export interface Period {
  readonly issuedAt: number;
  readonly expires: number;
  /** Null when it is good from the start. */
  readonly notBefore: number | null;
}

const seconds = z.int().positive();
const audience = z.string().min(1).max(512);
const audiences = z.union([audience.transform((one) => [one]), z.array(audience).min(1).max(64)]);
/** Keycloak names the kind of a token here, not in the header: refresh and ID tokens are not for us. */
const kindOfToken = z.string().regex(/^(jwt|at\+jwt|bearer)$/i);

/**
 * Checks the registered claims (RFC 7519 section 4.1) in the order of the contract: times, lifetime, audience, and then
 * the types of those that only name something.
 * @param now seconds since 1970
 * @throws DomainError JWT_EXPIRED, JWT_NOT_YET_VALID, JWT_INVALID
 */
export function checkRegistered(
  payload: Readonly<Record<string, unknown>>,
  expectation: Expectation,
  now: number,
): Period {
  const period = {
    expires: typed(seconds, payload['exp'], 'exp'),
    issuedAt: typed(seconds, payload['iat'], 'iat'),
    notBefore: typed(seconds.optional(), payload['nbf'], 'nbf') ?? null,
  };
  const untimely = outside(period, expectation, now);
  if (untimely) throw untimely;
  if (period.expires <= period.issuedAt) throw refusal('JWT_INVALID', 'lifetime');
  const theirs = typed(audiences, payload['aud'], 'aud');
  if (!expectation.audiences.some((name) => theirs.includes(name))) throw refusal('JWT_INVALID', 'audience');
  typed(claimText.optional(), payload['jti'], 'jti');
  typed(kindOfToken.optional(), payload['typ'], 'typ');
  return period;
}

/**
 * Why a token is not good at this time; null when it is.
 * @param now seconds since 1970
 */
export function outside(
  { expires, issuedAt, notBefore }: Period,
  { skewSeconds: skew, maxLifetimeSeconds }: Omit<Expectation, 'audiences'>,
  now: number,
): DomainError | null {
  if (now >= expires + skew) return refusal('JWT_EXPIRED', 'expired');
  if (notBefore !== null && notBefore > now + skew) return refusal('JWT_NOT_YET_VALID', 'nbf_in_future');
  if (issuedAt > now + skew) return refusal('JWT_NOT_YET_VALID', 'iat_in_future');
  return expires - issuedAt > maxLifetimeSeconds ? refusal('JWT_INVALID', 'lifetime_too_long') : null;
}
