import { createHmac } from 'node:crypto';

/** `iss` and `aud` of tokens that this server signs (contract: identity). */
export const LOCAL_ISSUER = 'gatehouse';

/** What a local token says, beside its issuer and audience, which are always ours. Times are seconds since 1970. */
export interface LocalTokenClaims {
  readonly sub: string;
  readonly iat: number;
  readonly exp: number;
  readonly nbf?: number;
  readonly jti?: string;
  readonly tenant?: string;
  readonly roles?: readonly string[];
  readonly groups?: readonly string[];
  /** Permissions the token is narrowed to, separated by spaces. */
  readonly scope?: string;
  readonly email?: string;
  readonly name?: string;
  readonly kind?: 'user' | 'service';
  /** The provider that vouched for the subject, when it was not this server. */
  readonly idp?: string;
  /** The API key that the token was made from. */
  readonly key_id?: string;
  /** It was made from another token. */
  readonly exchanged?: true;
  /** `jti` of that token, when it has one. */
  readonly parent?: string;
  /** What the provider's word rests on, when it was not this server. */
  readonly idp_settings?: string;
  readonly idp_key?: string;
}

const HEADER = encode({ alg: 'HS256', typ: 'JWT' });

/**
 * A local token: compact JWS (RFC 7515) with HS256. Members that are undefined are left out.
 * @param secret AUTH_SECRET, text
 */
export function signLocalToken(claims: LocalTokenClaims, secret: string): string {
  const signed = `${HEADER}.${encode({ ...claims, iss: LOCAL_ISSUER, aud: LOCAL_ISSUER })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
