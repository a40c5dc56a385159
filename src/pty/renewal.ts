import type { AuditTrail } from '../kernel/audit.js';
import type { Authenticator } from '../kernel/authenticator.js';
import { DomainError } from '../kernel/errors.js';
import { isSameSubject } from '../kernel/principal.js';
import type { RequestContext } from '../kernel/request-context.js';
import { bearer } from '../transport/credential.js';

/**
 * Gives an open connection or stream a credential: its first one, or a fresh one of the same principal, with which it goes
 * on past the end of the one before.
 * @param isOpen whether it still is, after the credential was checked
 * @throws DomainError of a credential that is refused; PERMISSION_DENIED for another principal's
 */
export async function authenticateOpen(
  context: RequestContext,
  token: string,
  { authenticator, audit }: { readonly authenticator: Authenticator; readonly audit: AuditTrail },
  isOpen: () => boolean,
): Promise<void> {
  const before = context.principal;
  const fresh: RequestContext = { ...context, principal: null, credential: null };
  await authenticator.authenticate(() => bearer(token), fresh);
  if (!isOpen() || fresh.principal === null) return;
  if (before !== null && !isSameSubject(before, fresh.principal)) {
    const metadata = { detail: 'another_principal' };
    const fact = {
      action: 'authz.denied',
      resource: null,
      success: false,
      reason: 'PERMISSION_DENIED',
      metadata,
    } as const;
    // On record as whose the credential is; the connection goes on as who it was.
    audit.noteCounted({ ...fresh, principal: fresh.principal }, fact, 'another_principal');
    throw new DomainError('PERMISSION_DENIED', 'A connection is renewed by the same principal only.');
  }
  context.principal = fresh.principal;
  context.credential = fresh.credential;
}
