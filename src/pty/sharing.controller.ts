import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { RequirePermission } from '../authorization/decorators.js';
import type { AuditMetadata } from '../kernel/audit.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Caller } from '../transport/caller.js';
import { type SessionCommand, sessionSchema } from './pty.schema.js';
import { shareBodySchema, type UnshareCommand, unshareSchema } from './share.schema.js';
import { SharingService, type ShareView } from './sharing.service.js';

const onSession = { resource: 'session', field: 'id' } as const;

/** What the trail says of a share beside the session. */
export const shareFacts = ({ id, grantee, level, expires_at }: ShareView): AuditMetadata => ({
  share: id,
  grantee_kind: grantee.kind,
  grantee_provider: grantee.provider,
  grantee: grantee.kind === 'group' ? grantee.name : { provider: grantee.provider, subject: grantee.name },
  level,
  expires_at,
});

/** Sharing over REST. */
@Controller('/api/v1/sessions/:id/share')
export class SharingController {
  constructor(private readonly sharing: SharingService) {}

  @Post()
  @RequirePermission('pty:share', onSession)
  @Audited('pty.share', 'session', 'id', shareFacts)
  share(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) { id }: SessionCommand,
    @Body({ schema: shareBodySchema }) body: z.output<typeof shareBodySchema>,
  ): Promise<ShareView> {
    return this.sharing.share(caller, { id, ...body });
  }

  @Get()
  @RequirePermission('pty:share', onSession)
  list(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) command: SessionCommand,
  ): Promise<{ items: ShareView[] }> {
    return this.sharing.list(caller, command);
  }

  @Delete(':share')
  @HttpCode(204)
  @RequirePermission('pty:share', onSession)
  @Audited('pty.unshare', 'session', 'id')
  async unshare(
    @Caller() caller: CallerContext,
    @Param({ schema: unshareSchema }) command: UnshareCommand,
  ): Promise<void> {
    await this.sharing.unshare(caller, command);
  }
}
