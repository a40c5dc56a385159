import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext, RequestContext } from '../kernel/request-context.js';
import { contextOf, fieldOf } from '../transport/execution-context.js';
import { AuthorizationService } from './authorization.service.js';
import { accessOf } from './decorators.js';
import { OwnershipRegistry } from './ownership.js';

/** Decides every call on every transport by what its handler declares. Bound once, globally. */
@Injectable()
export class AuthorizationGuard implements CanActivate {
  constructor(
    private readonly authorization: AuthorizationService,
    private readonly ownership: OwnershipRegistry,
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const access = accessOf(execution.getHandler());
    if (access === null) throw new Error('A handler without a declared access was called');
    if (access.kind === 'public') return true;
    const context = contextOf(execution);
    requireCaller(context);
    if (access.kind === 'authenticated') return true;
    const { permission, on } = access;
    if (on === null) {
      this.authorization.admit(context, permission, null);
      return true;
    }
    const { resource: kind, field } = on;
    const asked = fieldOf(execution, field);
    const resource = await this.ownership.resolve(kind, asked, context);
    if (resource === null) this.authorization.refuseUnknown(context, permission, kind, asked);
    // A message of an open connection is no call: the connection and what it did are on record.
    if (execution.getType() === 'ws') this.authorization.require(context, permission, resource);
    else this.authorization.admit(context, permission, resource);
    return true;
  }
}

/** @throws DomainError AUTH_TOKEN_MISSING when the edge found no credential */
export function requireCaller(context: RequestContext): asserts context is CallerContext {
  if (context.principal === null) throw new DomainError('AUTH_TOKEN_MISSING', 'A credential is needed.');
}
