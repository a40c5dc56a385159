import { Body, Controller, Get, Post, Query } from '@nestjs/common';
import { Audited } from '../audit/audited.decorator.js';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { Authenticated, RequirePermission } from '../authorization/decorators.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Caller } from '../transport/caller.js';
import {
  type ExchangeCommand,
  exchangeSchema,
  type RevocationsQuery,
  revocationsQuerySchema,
  type RevokeCommand,
  revokeSchema,
} from './auth.schema.js';
import { AuthService, type RevocationPage } from './auth.service.js';
import type { Revocation } from './revocations.js';

/** Credentials over REST. */
@Controller('/api/v1/auth')
export class AuthController {
  constructor(
    private readonly auth: AuthService,
    private readonly authorization: AuthorizationService,
  ) {}

  /** Who the caller is here, and what they may do. */
  @Get('info')
  @Authenticated()
  info(@Caller() { principal }: CallerContext): object {
    const { subject, tenant, provider, kind, method, groups, scopes, credentialId, expiresAt } = principal;
    return {
      subject,
      tenant,
      provider,
      kind,
      method,
      email: principal.email ?? null,
      groups,
      scopes,
      credential_id: credentialId,
      expires_at: expiresAt?.toISOString() ?? null,
      ...this.authorization.effective(principal),
    };
  }

  @Post('tokens')
  @Authenticated()
  @Audited('auth.token_minted', 'token', null, ({ jti, expires_at }: { jti: string; expires_at: string }) => ({
    jti,
    expires_at,
  }))
  exchange(@Caller() caller: CallerContext, @Body({ schema: exchangeSchema }) command: ExchangeCommand): object {
    const { token, jti, expiresAt } = this.auth.exchange(caller, command);
    return { token, jti, expires_at: expiresAt.toISOString() };
  }

  @Post('ws-ticket')
  @Authenticated()
  @Audited('auth.token_minted', 'ticket', null, ({ expires_at }: { expires_at: string }) => ({
    kind: 'ws_ticket',
    expires_at,
  }))
  async ticket(@Caller() caller: CallerContext): Promise<object> {
    const { ticket, expiresAt } = await this.auth.ticket(caller);
    return { ticket, expires_at: expiresAt.toISOString() };
  }

  @Post('revocations')
  @Authenticated()
  @Audited('auth.token_revoked', 'revocation', null, ({ kind, jti, provider, subject, reason }: Revocation) => ({
    kind,
    jti,
    provider,
    // Whoever vouches for it: then it is under no provider's name.
    subject: subject === null ? null : { provider: provider ?? '', subject },
    reason,
  }))
  revoke(@Caller() caller: CallerContext, @Body({ schema: revokeSchema }) command: RevokeCommand): Promise<Revocation> {
    return this.auth.revoke(caller, command);
  }

  @Get('revocations')
  @RequirePermission('token:revoke')
  revocations(
    @Caller() caller: CallerContext,
    @Query({ schema: revocationsQuerySchema }) query: RevocationsQuery,
  ): Promise<RevocationPage> {
    return this.auth.list(caller, query);
  }
}
