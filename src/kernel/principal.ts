/** Who is calling, whatever the credential. A person is (tenant, provider, subject), never the subject alone. */
export interface Principal {
  readonly subject: string;
  readonly displayName?: string;
  readonly email?: string;
  readonly tenant: string;
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  /** Permissions the credential is narrowed to; null when it is not narrowed. */
  readonly scopes: readonly string[] | null;
  readonly method: 'jwt' | 'api_key';
  /** Who vouched for the subject; `gatehouse` for local tokens and keys. */
  readonly provider: string;
  /** `jti` or key id; null for a token without `jti`. */
  readonly credentialId: string | null;
  /** When the credential ends; null when it does not. */
  readonly expiresAt: Date | null;
  readonly kind: 'user' | 'service';
}

/** The tenant of a credential that names none (spec: authorisation). */
export const DEFAULT_TENANT = 'default';

/** The provider of credentials that this server issued itself. */
export const LOCAL_PROVIDER = 'gatehouse';
