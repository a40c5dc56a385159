import { Inject, Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { KeyDirectory } from '../authorization/key-directory.js';
import { intersectScopes } from '../authorization/scope-intersection.js';
import { isScope } from '../authorization/scopes.js';
import { type Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { Principal } from '../kernel/principal.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import type { ExchangeCommand, RevocationsQuery, RevokeCommand } from './auth.schema.js';
import { type Revocation, Revocations } from './revocations.js';
import { Tickets } from './tickets.js';
import { type IssuedToken, TokenIssuer } from './token-issuer.js';

/** A page of revocations. */
export interface RevocationPage {
  readonly items: readonly Revocation[];
  readonly next_cursor: string | null;
}

/** What known callers do with their credentials: exchange them, get tickets, revoke. */
@Injectable()
export class AuthService {
  constructor(
    private readonly issuer: TokenIssuer,
    private readonly tickets: Tickets,
    private readonly revocations: Revocations,
    private readonly authorization: AuthorizationService,
    private readonly keys: KeyDirectory,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Exchanges the caller's credential for a short-lived token of the same or fewer rights. An API key may do that by
   * itself; a user's token needs `token:mint`; what was exchanged once is not exchanged again.
   * @throws DomainError PERMISSION_DENIED, INVALID_ARGUMENT
   */
  exchange(caller: CallerContext, command: ExchangeCommand): IssuedToken {
    const { principal, credential } = caller;
    const scopes = command.scopes ?? null;
    if (credential?.derived === true) {
      throw new DomainError(
        'PERMISSION_DENIED',
        'A token that was made from another credential is not exchanged again.',
      );
    }
    if (principal.method !== 'api_key') this.authorization.require(caller, 'token:mint', null);
    requireScopes(scopes);
    const excess = scopes === null ? null : this.#excess(principal, scopes);
    if (excess !== null) throw new DomainError('PERMISSION_DENIED', `You do not hold ${excess} yourself.`);
    return this.issuer.issue(principal, command.ttl_seconds, scopes);
  }

  /** The first scope, or permission in one, that the caller has nothing of; null when there is none. */
  #excess(principal: Principal, scopes: readonly string[]): string | null {
    const { permissions } = this.authorization.effective(principal);
    const empty = scopes.find((scope) => intersectScopes([scope], permissions)?.length === 0);
    return empty ?? this.authorization.exceeds(principal, { roles: null, scopes });
  }

  /** A ticket that opens one WebSocket in the caller's name. @throws DomainError RATE_LIMIT_EXCEEDED */
  ticket({ principal, credential }: CallerContext): ReturnType<Tickets['issue']> {
    return this.tickets.issue({ principal, parent: credential?.parent ?? null });
  }

  /**
   * Revokes a token, or all of a subject's tokens issued until now. A user may take back their own; others' need
   * `token:revoke`. It never reaches beyond the caller's tenant.
   * @throws DomainError PERMISSION_DENIED; RATE_LIMIT_EXCEEDED; INVALID_ARGUMENT for an API key, which is revoked elsewhere
   */
  async revoke(caller: CallerContext, command: RevokeCommand): Promise<Revocation> {
    const { principal } = caller;
    const { jti, subject, provider, reason } = command;
    if (jti !== undefined) await this.#requireNoKey(principal, jti);
    const may = this.authorization.allows(principal, 'token:revoke', null);
    const own = !may && isOwn(principal, command);
    if (!may && !own) this.authorization.require(caller, 'token:revoke', null);
    const now = new Date(this.clock.now());
    const revocation = {
      id: newId(),
      kind: jti === undefined ? ('subject' as const) : ('jti' as const),
      jti: jti ?? null,
      // A `jti` is one issuer's: nobody takes another's token of the same id along.
      provider: provider ?? (own ? principal.provider : null),
      subject: subject ?? null,
      before: now,
      reason: reason ?? null,
      created_by: principal.subject,
      created_at: now,
    };
    return this.revocations.add(principal.tenant, revocation, own);
  }

  /** The id of a key looks like one of a token in `/auth/info`; revoking it here would do nothing. */
  async #requireNoKey({ tenant, keyId }: Principal, jti: string): Promise<void> {
    if (jti !== keyId && (await this.keys.find(tenant, jti)) === null) return;
    const problem = `an API key: DELETE /api/v1/api-keys/${jti} revokes it`;
    throw new DomainError('INVALID_ARGUMENT', `jti: ${problem}`, { details: { fields: [{ field: 'jti', problem }] } });
  }

  /** The revocations of the caller's tenant, newest first. */
  async list({ principal }: CallerContext, { limit, cursor }: RevocationsQuery): Promise<RevocationPage> {
    // One more than asked tells whether there is a next page.
    const rows = await this.revocations.list(principal.tenant, limit + 1, cursor ?? null);
    const items = rows.slice(0, limit);
    return { items, next_cursor: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
  }
}

/**
 * Is it of the caller's own? Not for a key, nor what was made from one: it could only fill the table. A subject without a
 * provider means everybody of that name, not only oneself.
 */
const isOwn = (principal: Principal, { jti, subject, provider }: RevokeCommand): boolean =>
  principal.keyId === null &&
  (jti === undefined
    ? subject === principal.subject && provider === principal.provider
    : jti === principal.credentialId && (provider === undefined || provider === principal.provider));

/** @throws DomainError INVALID_ARGUMENT naming the first scope that is none */
function requireScopes(scopes: readonly string[] | null): void {
  const index = scopes?.findIndex((scope) => !isScope(scope)) ?? -1;
  if (index < 0) return;
  const field = `scopes.${index}`;
  throw new DomainError('INVALID_ARGUMENT', `${field}: not a scope`, {
    details: { fields: [{ field, problem: 'not a scope' }] },
  });
}
