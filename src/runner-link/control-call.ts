import { type ChannelOptions, type ServiceError, status } from '@grpc/grpc-js';
import { DomainError, isErrorCode } from '../kernel/errors.js';
import type { RunnerEndpoint } from './runner-endpoint.js';

const MAX_MESSAGE = 4 * 1024 * 1024;

/** A method of a generated client that has one answer, bound to the client. */
export type Unary<Request, Response> = (
  request: Request,
  options: { deadline: number },
  callback: (error: ServiceError | null, response?: Response) => void,
) => unknown;

/** Of every connection to the runner's control services. */
export const controlOptions = (endpoint: RunnerEndpoint): ChannelOptions => ({
  'grpc.max_receive_message_length': MAX_MESSAGE,
  // A runner that was just started must be found at once, not after grpc-js's usual back-off.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  ...endpoint.control.options,
});

/**
 * One call of the runner.
 * @param ms how long it may take, milliseconds
 * @throws DomainError the runner's own, or one by which nobody knows whether it was done: {@link isUnknownOutcome}
 */
export function callRunner<Request, Response>(
  method: Unary<Request, Response>,
  request: Request,
  ms: number,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method(request, { deadline: Date.now() + ms }, (error, response) => {
      if (error) reject(fromRunner(error));
      else if (response === undefined) reject(new DomainError('INTERNAL_ERROR', 'The runner gave no answer.'));
      else resolve(response);
    });
  });
}

/** Whether a call that ended with this error may have been done all the same: the runner did not say why it was not. */
export const isUnknownOutcome = (error: unknown): boolean =>
  !(error instanceof DomainError) || error.code === 'RUNNER_UNAVAILABLE' || error.code === 'INTERNAL_ERROR';

/** The runner names its code in the trailer; without one the runner itself could not be reached. */
function fromRunner(error: ServiceError): DomainError {
  const [code] = error.metadata.get('gatehouse-code');
  if (isErrorCode(code)) return new DomainError(code, error.details);
  if (error.code === status.UNIMPLEMENTED) {
    return new DomainError('RUNNER_UNAVAILABLE', 'The runner is of an older version; restart it.', { cause: error });
  }
  return error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED || error.code === status.CANCELLED
    ? new DomainError('RUNNER_UNAVAILABLE', 'The runner cannot be reached.', { cause: error })
    : new DomainError('INTERNAL_ERROR', 'The runner failed; the request id finds it in the log.', { cause: error });
}
