import { Inject, Injectable } from '@nestjs/common';
import { MAX_CREDENTIAL } from '../kernel/authenticator.js';
import { type Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import { signLocalToken } from '../kernel/local-token.js';
import { LOCAL_PROVIDER, type Principal } from '../kernel/principal.js';
import { CLOCK } from '../kernel/tokens.js';
import { claimScope } from './tokens/claim-types.js';
import { refusal } from './tokens/refusal.js';
import { SIGNING_SECRETS, type SigningSecrets } from './signing-secrets.js';

export interface IssuedToken {
  readonly token: string;
  readonly jti: string;
  readonly expiresAt: Date;
}

/** Signs local tokens for callers who are known already. */
@Injectable()
export class TokenIssuer {
  constructor(
    @Inject(SIGNING_SECRETS) private readonly secrets: SigningSecrets,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * A token for this caller. It ends with the caller's own credential at the latest. Made from an API key it names the
   * key, whose powers are asked anew at every use; made from a token it names that token, and is revoked with it.
   * @param scopes it is narrowed to; null: as the caller is
   * @throws DomainError INVALID_ARGUMENT when the caller's groups or scopes are too many for a token; JWT_EXPIRED when the
   *   caller's own credential has ended and is accepted for the clocks' difference only
   */
  issue(caller: Principal, ttlSeconds: number, scopes: readonly string[] | null): IssuedToken {
    const now = Math.floor(this.clock.now() / 1000);
    const ends = caller.expiresAt === null ? Infinity : Math.floor(caller.expiresAt.getTime() / 1000);
    const exp = Math.min(now + ttlSeconds, ends);
    if (exp <= now) throw refusal('JWT_EXPIRED', 'expired');
    const jti = newId();
    const scope = scopeClaim(scopes ?? caller.scopes);
    const token = signLocalToken(
      {
        sub: caller.subject,
        ...(caller.provider === LOCAL_PROVIDER ? {} : { idp: caller.provider }),
        tenant: caller.tenant,
        kind: caller.kind,
        iat: now,
        exp,
        jti,
        ...(scope === null ? {} : { scope }),
        ...(caller.keyId === null ? vouched(caller) : { key_id: caller.keyId }),
      },
      this.secrets[0],
    );
    if (token.length > MAX_CREDENTIAL) {
      throw new DomainError('INVALID_ARGUMENT', 'The groups and scopes are too many for a token.');
    }
    return { token, jti, expiresAt: new Date(exp * 1000) };
  }
}

/** The scopes as one claim. @throws DomainError INVALID_ARGUMENT when they are longer than the verifier reads */
function scopeClaim(scopes: readonly string[] | null): string | null {
  if (scopes === null) return null;
  const scope = scopes.join(' ');
  if (claimScope.safeParse(scope).success) return scope;
  const problem = 'together too long for a token';
  throw new DomainError('INVALID_ARGUMENT', `scopes: ${problem}`, {
    details: { fields: [{ field: 'scopes', problem }] },
  });
}

/** What the caller's own token vouches for. */
function vouched({ roles, groups, displayName, email, credentialId, voucher }: Principal) {
  return {
    roles,
    groups,
    ...(displayName === undefined ? {} : { name: displayName }),
    ...(email === undefined ? {} : { email }),
    exchanged: true as const,
    // Without a `jti` there is nothing to name; such a token is revoked by its subject.
    ...(credentialId === null ? {} : { parent: credentialId }),
    ...(voucher === undefined ? {} : { idp_settings: voucher.settings, idp_key: voucher.key }),
  };
}
