import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { catchError, from, mergeMap, type Observable, throwError } from 'rxjs';
import { AuditTrail } from '../kernel/audit.js';
import { contextOf, fieldOf } from '../transport/execution-context.js';
import { toDomainError } from '../transport/error-mapping.js';
import { auditedOf } from './audited.decorator.js';

/** Records the outcome of `@Audited` handlers; a refusal by a guard is recorded by the guard, which runs before. */
@Injectable()
export class AuditInterceptor implements NestInterceptor {
  constructor(private readonly audit: AuditTrail) {}

  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const audited = auditedOf(execution.getHandler());
    if (audited === null) return next.handle();
    const context = contextOf(execution);
    const { action, kind, field } = audited;
    const named = field === null ? undefined : fieldOf(execution, field);
    const resource = (id: unknown): string | null => (typeof id === 'string' ? `${kind}:${id}` : null);
    return next.handle().pipe(
      catchError((thrown: unknown) => {
        const reason = toDomainError(thrown).code;
        this.audit.note(context, { action, resource: resource(named), success: false, reason });
        return throwError(() => thrown);
      }),
      mergeMap((result: unknown) =>
        from(
          this.audit
            .record(context, { action, resource: resource(named ?? idOf(result)), success: true })
            .then(() => result),
        ),
      ),
    );
  }
}

/** The id of a resource that the call made: `{id}`, or on gRPC `{<kind>: {id}}`. */
function idOf(result: unknown): unknown {
  if (typeof result !== 'object' || result === null) return undefined;
  if ('id' in result) return result.id;
  const [only] = Object.values(result) as unknown[];
  return typeof only === 'object' && only !== null && 'id' in only ? only.id : undefined;
}
