/** Who is calling, whatever the credential. A person is (tenant, provider, subject), never the subject alone. */
export interface Principal {
  readonly subject: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly tenant: string;
  /** Roles that the credential itself carries; the policy adds what bindings give. */
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  /** Permissions the credential is narrowed to; null when it is not narrowed. */
  readonly scopes: readonly string[] | null;
  readonly method: 'jwt' | 'api_key';
  /** Who vouched for the subject; `gatehouse` for local tokens and keys. */
  readonly provider: string;
  /** `jti` or key id; null for a token without `jti`. */
  readonly credentialId: string | null;
  /** The API key behind the credential: the key itself, or the one that a token or ticket was made from. */
  readonly keyId: string | null;
  /** What the owner of that key holds by himself, which the key can never exceed; null without a key. */
  readonly owner: Standing | null;
  /** Calls a minute of that key's own limit, in the place of its owner's; absent where it has none. */
  readonly ratePerMinute?: number;
  /** When the token was issued, which tells whether a revocation of its subject meets it; null for a key. */
  readonly issuedAt: Date | null;
  /** When the credential ends; null when it does not. */
  readonly expiresAt: Date | null;
  readonly kind: 'user' | 'service';
  /** What an identity provider's word rests on, for tokens of one and what was made from them. */
  readonly voucher?: Voucher;
  /** What an identity provider calls the roles, before its role map; only in its own tokens. */
  readonly vouchedRoles?: readonly string[];
}

/** A provider's settings and the key that signed: what was made from its token does not outlive either. */
export interface Voucher {
  readonly settings: string;
  readonly key: string;
}

/** What a subject was last vouched for by a token of his own. */
export interface Standing {
  readonly roles: readonly string[];
  readonly groups: readonly string[];
}

/** The tenant of a credential that names none (spec: authorisation). */
export const DEFAULT_TENANT = 'default';

/** The provider of credentials that this server issued itself. */
export const LOCAL_PROVIDER = 'gatehouse';

/** Is this the same person, or program? */
export const isSameSubject = (
  a: Pick<Principal, 'tenant' | 'provider' | 'subject'>,
  b: Pick<Principal, 'tenant' | 'provider' | 'subject'>,
): boolean => a.tenant === b.tenant && a.provider === b.provider && a.subject === b.subject;
