import { Inject, Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import type { SessionCommand } from './pty.schema.js';
import { PtyService } from './pty.service.js';
import type { SessionShareEntity } from './session-share.entity.js';
import { SessionStore } from './session-store.js';
import type { ShareCommand, UnshareCommand } from './share.schema.js';

/** A share as every transport shows it. */
export interface ShareView {
  readonly id: string;
  readonly session_id: string;
  readonly grantee: { readonly kind: 'subject' | 'group'; readonly provider: string; readonly name: string };
  readonly level: 'view' | 'input';
  /** RFC 3339, UTC; null: as long as the session. */
  readonly expires_at: string | null;
  readonly created_by: string;
  readonly created_at: string;
}

/**
 * Sharing one session with others of the tenant: `view` to watch, `input` to type as well. Signals, the end and sharing
 * itself stay with the owner. A share gives nobody a permission that their roles do not have.
 */
@Injectable()
export class SharingService {
  constructor(
    private readonly store: SessionStore,
    private readonly sessions: PtyService,
    private readonly authorization: AuthorizationService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Shares; with the same grantee again it replaces the share.
   * @throws DomainError NOT_FOUND, INVALID_ARGUMENT for an end that is past, SESSION_LIMIT, PERMISSION_DENIED when the
   *   caller, narrowed by scopes, could not do it himself
   */
  async share(caller: CallerContext, { id, grantee, level, expires_at }: ShareCommand): Promise<ShareView> {
    await this.sessions.get(caller, { id });
    const now = this.clock.now();
    const expiresAt = expires_at === undefined ? null : new Date(expires_at);
    if (expiresAt !== null && expiresAt.getTime() <= now) {
      const fields = [{ field: 'expires_at', problem: 'is past' }];
      throw new DomainError('INVALID_ARGUMENT', 'expires_at: is past', { details: { fields } });
    }
    const { principal } = caller;
    const resource = await this.store.owner(principal.tenant, id);
    this.authorization.require(caller, level === 'input' ? 'pty:input' : 'pty:view', resource);
    const row = await this.store.share({
      id: newId(),
      sessionId: id,
      tenant: principal.tenant,
      granteeKind: grantee.kind,
      granteeProvider: grantee.provider ?? principal.provider,
      grantee: grantee.name,
      level,
      createdBy: principal.subject,
      createdAt: new Date(now),
      expiresAt,
    });
    return toView(row);
  }

  /** Takes a share back; whoever is attached by it is detached within a second. @throws DomainError NOT_FOUND */
  async unshare({ principal }: CallerContext, { id, share }: UnshareCommand): Promise<void> {
    if (!(await this.store.unshare(principal.tenant, id, share))) {
      throw new DomainError('NOT_FOUND', 'There is no such resource.');
    }
  }

  /** With whom the session is shared, oldest first; at most as many as a session can have. */
  async list({ principal }: CallerContext, { id }: SessionCommand): Promise<{ items: ShareView[] }> {
    return { items: (await this.store.shares(principal.tenant, id)).map(toView) };
  }
}

function toView(row: SessionShareEntity): ShareView {
  return {
    id: row.id,
    session_id: row.sessionId,
    grantee: { kind: row.granteeKind, provider: row.granteeProvider, name: row.grantee },
    level: row.level,
    expires_at: row.expiresAt?.toISOString() ?? null,
    created_by: row.createdBy,
    created_at: row.createdAt.toISOString(),
  };
}
