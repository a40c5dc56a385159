/** How a domain call becomes a gRPC answer. */
import { type handleUnaryCall, Metadata, type ServerErrorResponse } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { DomainError } from '../kernel/errors.js';

/** Trailing metadata: the error's stable code. */
export const CODE_METADATA = 'gatehouse-code';

/**
 * A unary handler that answers what `handle` returns, or the error it throws.
 * @param handle gets beside the request whether its caller has given up, or its time is over
 */
export function unary<Request, Response>(
  log: Logger,
  handle: (request: Request, givenUp: () => boolean) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  const answer = async (request: Request, givenUp: () => boolean): Promise<Response> => handle(request, givenUp);
  return (call, callback) => {
    answer(call.request, () => call.cancelled).then(
      (response) => {
        callback(null, response);
      },
      (error: unknown) => {
        callback(rpcError(error, log));
      },
    );
  };
}

/** The gRPC form of an error; one that is not ours is logged and told as INTERNAL_ERROR. */
export function rpcError(error: unknown, log: Logger): ServerErrorResponse {
  const known = error instanceof DomainError ? error : undefined;
  if (!known || known.cause !== undefined) log.error({ err: error }, 'control call failed');
  const { code, message, answer } = known ?? new DomainError('INTERNAL_ERROR', 'The runner failed.');
  const metadata = new Metadata();
  metadata.set(CODE_METADATA, code);
  return Object.assign(new Error(message), { code: answer.grpc, details: message, metadata });
}
