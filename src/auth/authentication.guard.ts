import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { requireCaller } from '../authorization/authorization.guard.js';
import { accessOf } from '../authorization/decorators.js';
import { contextOf } from '../transport/execution-context.js';

/**
 * The second lock behind the edges: they verify the credential before a body is read, and this refuses any call that
 * reaches a handler which is not public without a principal. Bound once, globally.
 */
@Injectable()
export class AuthenticationGuard implements CanActivate {
  canActivate(execution: ExecutionContext): boolean {
    if (accessOf(execution.getHandler())?.kind !== 'public') requireCaller(contextOf(execution));
    return true;
  }
}
