import { Injectable } from '@nestjs/common';
import { TenantScope } from '../database/tenant-scope.js';
import { DomainError } from '../kernel/errors.js';
import type { Principal } from '../kernel/principal.js';

/** An issuer's clock may differ from ours. */
const SKEW_MS = 300_000;

/** Tokens that may be used once and were. */
@Injectable()
export class UsedTokens {
  constructor(private readonly scope: TenantScope) {}

  /**
   * Uses a token up, for all gateways.
   * @throws DomainError TOKEN_REPLAYED when it was used before, JWT_INVALID when it has no `jti` to know it by
   */
  async use({ tenant, provider, credentialId, expiresAt }: Principal): Promise<void> {
    if (credentialId === null || expiresAt === null) {
      throw new DomainError('JWT_INVALID', 'The token is not valid.', { reason: 'jti_missing' });
    }
    const first = await this.scope.within(tenant, (manager) =>
      manager.query<unknown[]>(
        `INSERT INTO used_tokens (tenant, provider, jti, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING RETURNING 1`,
        [tenant, provider, credentialId, new Date(expiresAt.getTime() + SKEW_MS)],
      ),
    );
    if (first.length === 0) {
      throw new DomainError('TOKEN_REPLAYED', 'The token was used before.', { reason: 'token_used' });
    }
  }

  /** The statement that removes those which have expired. */
  static readonly forgetOld = 'DELETE FROM used_tokens WHERE expires_at < now()';
}
