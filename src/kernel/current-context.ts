import { AsyncLocalStorage } from 'node:async_hooks';
import type { RequestContext } from './request-context.js';

const storage = new AsyncLocalStorage<RequestContext>();

/** Does the work, and everything it starts, as part of this call: whatever is logged in it names the call. */
export const within = <T>(context: RequestContext, work: () => T): T => storage.run(context, work);

/**
 * What every log line of a call has, under the names of the audit trail.
 * @param context the call; without it, the one that is under way here, if any
 */
export function logFields(context: RequestContext | undefined = storage.getStore()): Record<string, string> {
  if (context === undefined) return {};
  const { requestId, principal } = context;
  return {
    request_id: requestId,
    ...(principal === null ? {} : { tenant: principal.tenant, user_id: principal.subject }),
  };
}
