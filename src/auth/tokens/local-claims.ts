import { z } from 'zod';
import { DEFAULT_TENANT, LOCAL_PROVIDER, type Principal } from '../../kernel/principal.js';
import { claimNames, claimScope, claimText, typed, wordsOf } from './claim-types.js';
import { refusal } from './refusal.js';
import type { Period } from './registered-claims.js';

/** What only a local token says. */
export interface LocalExtras {
  /** The API key that it was made from; it dies with it. */
  readonly keyId: string | null;
  /** It was made from another token, by an exchange. */
  readonly exchanged: boolean;
  /** `jti` of that token; null when it had none. */
  readonly parent: string | null;
}

/** Each claim with its JSON type. Unknown claims are ignored (RFC 7519 section 4). */
const CLAIMS = {
  sub: claimText.optional(),
  userId: claimText.optional(),
  role: claimText.optional(),
  roles: claimNames.optional(),
  groups: claimNames.optional(),
  scope: claimScope.optional(),
  tenant: claimText.optional(),
  email: claimText.optional(),
  name: claimText.optional(),
  jti: claimText.optional(),
  kind: z.enum(['user', 'service']).optional(),
  idp: claimText.optional(),
  key_id: claimText.optional(),
  exchanged: z.literal(true).optional(),
  parent: claimText.optional(),
  idp_settings: claimText.optional(),
  idp_key: claimText.optional(),
} as const;

type Claims = { [Name in keyof typeof CLAIMS]: z.infer<(typeof CLAIMS)[Name]> };

/**
 * Whom a verified local token speaks of.
 * @throws DomainError JWT_INVALID when a claim is missing or of the wrong type
 */
export function readLocalClaims(
  payload: Readonly<Record<string, unknown>>,
  { issuedAt, expires }: Period,
): { principal: Principal; extras: LocalExtras } {
  const claims = readAll(payload);
  const principal: Principal = {
    subject: subjectOf(claims),
    ...(claims.name === undefined ? {} : { displayName: claims.name }),
    ...(claims.email === undefined ? {} : { email: claims.email }),
    tenant: claims.tenant ?? DEFAULT_TENANT,
    roles: [...new Set([...(claims.roles ?? []), ...(claims.role === undefined ? [] : [claims.role])])],
    groups: claims.groups ?? [],
    scopes: claims.scope === undefined ? null : wordsOf(claims.scope),
    method: 'jwt',
    provider: claims.idp ?? LOCAL_PROVIDER,
    credentialId: claims.jti ?? null,
    // Who knows the keys fills these in.
    keyId: null,
    owner: null,
    issuedAt: new Date(issuedAt * 1000),
    expiresAt: new Date(expires * 1000),
    kind: claims.kind ?? 'user',
    ...voucherOf(claims),
  };
  const extras = { keyId: claims.key_id ?? null, exchanged: claims.exchanged === true, parent: claims.parent ?? null };
  return { principal, extras };
}

/** Of a token that was exchanged for a provider's. */
function voucherOf({ idp_settings: settings, idp_key: key }: Claims): Pick<Principal, 'voucher'> {
  return settings === undefined || key === undefined ? {} : { voucher: { settings, key } };
}

function readAll(payload: Readonly<Record<string, unknown>>): Claims {
  const read = Object.entries(CLAIMS).map(([name, schema]): [string, unknown] => [
    name,
    typed<unknown>(schema, Object.hasOwn(payload, name) ? payload[name] : undefined, name),
  ]);
  return Object.fromEntries(read) as Claims;
}

/** `sub`, or its older name; both only when they are equal (contract: identity). */
function subjectOf({ sub, userId }: Claims): string {
  const subject = sub ?? userId;
  if (subject === undefined) throw refusal('JWT_INVALID', 'subject_missing');
  if (userId !== undefined && userId !== subject) throw refusal('JWT_INVALID', 'subject_ambiguous');
  return subject;
}
