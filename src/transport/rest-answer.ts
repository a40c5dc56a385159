import { type DomainError, retryAfterOf } from '../kernel/errors.js';

/** The one shape of an error on REST. */
export function errorBody(error: DomainError, requestId: string): object {
  const { code, message, details } = error;
  return { error: { code, message, ...(details === undefined ? {} : { details }), request_id: requestId } };
}

/** Headers that go with an error: RFC 6750 for 401, Retry-After where there is a time. */
export function errorHeaders(error: DomainError): Record<string, string> {
  const headers: Record<string, string> = {};
  if (error.answer.http === 401) {
    const reason =
      error.code === 'AUTH_TOKEN_MISSING' ? '' : `, error="invalid_token", error_description="${error.message}"`;
    headers['WWW-Authenticate'] = `Bearer realm="gatehouse"${reason}`;
  }
  const retryAfter = retryAfterOf(error);
  if (retryAfter !== undefined) headers['Retry-After'] = String(retryAfter);
  return headers;
}
