import { Injectable } from '@nestjs/common';
import { AuthorizationService } from '../../authorization/authorization.service.js';
import { LiveStreams } from '../../authorization/live-streams.js';
import type { Permission } from '../../authorization/permissions.js';
import { AuditTrail } from '../../kernel/audit.js';
import { callAt } from '../../kernel/deadline.js';
import { DomainError } from '../../kernel/errors.js';
import type { CallerContext } from '../../kernel/request-context.js';

/** Watches that those who read the trail for long may still do so: none is trusted for having begun. */
@Injectable()
export class ReadingWatch {
  constructor(
    private readonly streams: LiveStreams,
    private readonly authorization: AuthorizationService,
    private readonly audit: AuditTrail,
  ) {}

  /**
   * @param onEnd called at most once, when the caller's credential or permission is gone
   * @returns what ends the watching; may be called more than once
   */
  begin(context: CallerContext, permission: Permission, onEnd: (error: DomainError) => void): () => void {
    const end = (error: DomainError): void => {
      stop();
      onEnd(error);
    };
    const recheck = (): void => {
      const { allow, rule } = this.authorization.decide(context.principal, permission, null);
      if (allow) return;
      this.audit.note(context, {
        ...{ action: 'authz.downgraded', resource: null, success: false, reason: 'PERMISSION_DENIED' },
        metadata: { to: 'ended', permission, rule },
      });
      end(new DomainError('PERMISSION_DENIED', 'The audit trail may not be read any more.'));
    };
    const stream = { context, recheck, end };
    const left = this.streams.add(stream);
    const { expiresAt } = context.principal;
    const expire = (): void => {
      this.streams.expire(stream, new DomainError('SESSION_EXPIRED', 'The credential of this call has expired.'));
    };
    const cancelExpiry = expiresAt === null ? (): void => undefined : callAt(expiresAt, expire);
    const stop = (): void => {
      left();
      cancelExpiry();
    };
    return stop;
  }
}
