import type { AuditTrail } from '../kernel/audit.js';
import type { RequestContext } from '../kernel/request-context.js';
import { toDomainError } from './error-mapping.js';

/** Puts a refusal on record that came before anybody looked for a credential. */
export function noteStranger(audit: AuditTrail, context: RequestContext, thrown: unknown): void {
  const reason = toDomainError(thrown).code;
  audit.noteStranger(context, { action: 'auth.failed', resource: null, success: false, reason });
}
