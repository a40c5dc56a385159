import { HttpException } from '@nestjs/common';
import { isDatabaseAway } from '../database/errors.js';
import { DomainError, type ErrorCode } from '../kernel/errors.js';

/** HTTP statuses that Fastify and Nest answer by themselves, and what they are called here. */
const BY_STATUS: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  400: ['MALFORMED_REQUEST', 'The request could not be read.'],
  404: ['NOT_FOUND', 'There is no such resource.'],
  408: ['REQUEST_TIMEOUT', 'The request took too long to arrive.'],
  413: ['PAYLOAD_TOO_LARGE', 'The request is too large.'],
  415: ['UNSUPPORTED_MEDIA_TYPE', 'Send application/json.'],
  431: ['HEADERS_TOO_LARGE', 'The headers are too large.'],
};

/**
 * Any thrown value as the one domain error. An unexpected one becomes INTERNAL_ERROR with the value as its cause,
 * which is logged and never shown.
 */
export function toDomainError(thrown: unknown): DomainError {
  if (thrown instanceof DomainError) return thrown;
  const status = thrown instanceof HttpException ? thrown.getStatus() : statusCodeOf(thrown);
  const known = status === undefined ? undefined : BY_STATUS[status];
  if (known) return new DomainError(known[0], known[1], { cause: thrown });
  if (isDatabaseAway(thrown)) {
    return new DomainError('DATABASE_UNAVAILABLE', 'The database cannot be reached.', { cause: thrown });
  }
  return new DomainError('INTERNAL_ERROR', 'Something went wrong here; the request id finds it in the log.', {
    cause: thrown,
  });
}

/**
 * Fastify marks its own errors with a `statusCode` and an `FST_` code, and the one of Node for a client that is gone before
 * its body was there; nobody else's number is trusted.
 */
function statusCodeOf(thrown: unknown): number | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('statusCode' in thrown) || !('code' in thrown))
    return undefined;
  const { statusCode, code } = thrown;
  if (typeof code !== 'string' || typeof statusCode !== 'number') return undefined;
  const isGone = code === 'ECONNRESET' && thrown instanceof Error && thrown.message === 'aborted';
  return code.startsWith('FST_') || isGone ? statusCode : undefined;
}
