import { HttpException } from '@nestjs/common';
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

/** Network and PostgreSQL codes that mean: the database cannot be reached or takes no queries. */
const DATABASE_AWAY = /^(ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|ETIMEDOUT|ENOTFOUND|57P0[123]|53300|08\w{3})$/;
const DATABASE_AWAY_TEXT =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/;

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

/** Does this error mean that PostgreSQL is away, rather than that a query was wrong? */
export function isDatabaseAway(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  const code = 'code' in thrown ? String(thrown.code) : '';
  if (DATABASE_AWAY.test(code) || DATABASE_AWAY_TEXT.test(thrown.message)) return true;
  return 'driverError' in thrown && isDatabaseAway(thrown.driverError);
}

/** Fastify marks its own errors with a `statusCode` and an `FST_` code; nobody else's number is trusted. */
function statusCodeOf(thrown: unknown): number | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('statusCode' in thrown) || !('code' in thrown))
    return undefined;
  const { statusCode, code } = thrown;
  return typeof code === 'string' && code.startsWith('FST_') && typeof statusCode === 'number' ? statusCode : undefined;
}
