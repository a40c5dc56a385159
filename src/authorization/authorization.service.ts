import { Injectable } from '@nestjs/common';
import { AuditTrail } from '../kernel/audit.js';
import { DomainError } from '../kernel/errors.js';
import type { Principal } from '../kernel/principal.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { Permission } from './permissions.js';
import { decide, type Resource } from './policy.js';

/** The one place where a decision becomes an answer and, when refused, an audit event. */
@Injectable()
export class AuthorizationService {
  constructor(private readonly audit: AuditTrail) {}

  /** Just the decision, for filtering and for capabilities told to a client. */
  allows(principal: Principal, permission: Permission, resource: Resource | null): boolean {
    return decide(principal, permission, resource).allow;
  }

  /**
   * Lets the call pass or refuses it, noting the refusal.
   * @throws DomainError NOT_FOUND when the caller may not even know the resource, else PERMISSION_DENIED
   */
  require(context: CallerContext, permission: Permission, resource: Resource | null): void {
    const verdict = decide(context.principal, permission, resource);
    if (verdict.allow) return;
    const named = resource === null ? null : `${resource.kind}:${resource.id}`;
    this.refuse(context, permission, named, verdict.visible ? 'PERMISSION_DENIED' : 'NOT_FOUND', verdict.rule);
  }

  /** Refuses a call for a resource that does not exist, exactly as {@link require} does for one that is hidden. */
  refuseUnknown(context: CallerContext, permission: Permission, kind: string): never {
    this.refuse(context, permission, null, 'NOT_FOUND', `unknown_${kind}`);
  }

  private refuse(
    context: CallerContext,
    permission: Permission,
    resource: string | null,
    code: 'NOT_FOUND' | 'PERMISSION_DENIED',
    rule: string,
  ): never {
    this.audit.note(context, {
      action: 'authz.denied',
      resource,
      success: false,
      reason: code,
      metadata: { permission, rule },
    });
    throw code === 'NOT_FOUND'
      ? new DomainError('NOT_FOUND', 'There is no such resource.')
      : new DomainError('PERMISSION_DENIED', `This needs the permission ${permission}.`);
  }
}
