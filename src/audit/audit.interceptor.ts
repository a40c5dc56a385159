import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { type AuditMetadata, AuditTrail } from '../kernel/audit.js';
import { contextOf, fieldOf } from '../transport/execution-context.js';
import { auditedOf } from './audited.decorator.js';

/** Records the outcome of `@Audited` handlers; a refusal by a guard is recorded by the guard, which runs before. */
@Injectable()
export class AuditInterceptor implements NestInterceptor {
  constructor(private readonly audit: AuditTrail) {}

  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const audited = auditedOf(execution.getHandler());
    if (audited === null) return next.handle();
    const { action, kind, field, facts } = audited;
    // A handler's decorator knows what the handler returns.
    const about = audited.about as ((result: unknown) => AuditMetadata) | null;
    const resource = field === null ? madeBy(kind) : named(kind, fieldOf(execution, field));
    const act = (): Promise<unknown> => lastValueFrom(next.handle(), { defaultValue: undefined });
    return from(
      this.audit.outcome(contextOf(execution), { action, resource, facts, ...(about ? { metadata: about } : {}) }, act),
    );
  }
}

const named = (kind: string, id: unknown): string | null => (typeof id === 'string' ? `${kind}:${id}` : null);

/** Names what a call made: its result is the resource itself, `{id}`, or on gRPC has it under its kind, `{session: {id}}`. */
const madeBy =
  (kind: string) =>
  (result: unknown): string | null =>
    named(kind, member(result, 'id') ?? member(member(result, kind), 'id'));

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (Reflect.get(value, name) as unknown) : undefined;
