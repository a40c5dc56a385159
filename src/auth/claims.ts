import { z } from 'zod';
import { DomainError } from '../kernel/errors.js';
import { DEFAULT_TENANT, LOCAL_PROVIDER, type Principal } from '../kernel/principal.js';

/** Allowed difference between our clock and the issuer's. */
export const CLOCK_SKEW_SECONDS = 60;
/** `iss` and `aud` of tokens that this server signs. */
export const LOCAL_ISSUER = 'gatehouse';
const MAX_LIFETIME_SECONDS = 24 * 3600;

/** No control characters, and no half characters: the database stores every one of those as the same U+FFFD. */
const text = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^\p{Cc}\p{Cs}]+$/u);
const names = z.array(text).max(256);

/** Claims of a local token, each checked for its JSON type and never coerced. Unknown claims are ignored. */
const claimsSchema = z
  .object({
    // Keycloak names the kind of a token here, not in the header: refresh and ID tokens are not for us.
    typ: z
      .string()
      .regex(/^(jwt|at\+jwt|bearer)$/i)
      .optional(),
    sub: text.optional(),
    userId: text.optional(),
    iat: z.int().positive(),
    exp: z.int().positive(),
    nbf: z.int().positive().optional(),
    role: text.optional(),
    roles: names.optional(),
    groups: names.optional(),
    scope: z.string().max(4096).optional(),
    tenant: text.optional(),
    email: text.optional(),
    name: text.optional(),
    jti: text.optional(),
  })
  .refine(
    ({ sub, userId }) => (sub ?? userId) !== undefined && (sub === undefined || userId === undefined || sub === userId),
  )
  .refine(({ iat, exp }) => exp > iat && exp - iat <= MAX_LIFETIME_SECONDS);

/**
 * The principal a verified payload speaks of.
 * @param now seconds since 1970
 * @throws DomainError JWT_INVALID when a claim is missing or of the wrong type, JWT_NOT_YET_VALID for a future `iat`
 */
export function principalFromClaims(payload: unknown, now: number): Principal {
  const parsed = claimsSchema.safeParse(payload);
  if (!parsed.success) throw new DomainError('JWT_INVALID', 'The token is not valid.', { cause: parsed.error });
  const claims = parsed.data;
  if (claims.iat > now + CLOCK_SKEW_SECONDS) {
    throw new DomainError('JWT_NOT_YET_VALID', 'The token is not valid yet.');
  }
  const scopes = claims.scope?.split(' ').filter((scope) => scope !== '');
  return {
    subject: claims.sub ?? claims.userId ?? '',
    ...(claims.name === undefined ? {} : { displayName: claims.name }),
    ...(claims.email === undefined ? {} : { email: claims.email }),
    tenant: claims.tenant ?? DEFAULT_TENANT,
    roles: [...(claims.roles ?? []), ...(claims.role === undefined ? [] : [claims.role])],
    groups: claims.groups ?? [],
    scopes: scopes ?? null,
    method: 'jwt',
    provider: LOCAL_PROVIDER,
    credentialId: claims.jti ?? null,
    expiresAt: new Date(claims.exp * 1000),
    kind: 'user',
  };
}
