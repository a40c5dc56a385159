import type { EventEmitter } from 'node:events';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply } from 'fastify';

/** What a gRPC handler may know of its call, whatever its kind. */
interface CancellableCall extends EventEmitter {
  readonly cancelled: boolean;
}

const callOf = (execution: ExecutionContext): CancellableCall => execution.getArgByIndex<CancellableCall>(2);

/** The call of a gRPC handler that answers with a stream. */
export const Call = createParamDecorator((_: unknown, execution: ExecutionContext) => callOf(execution));

/** A signal for handlers that wait: the caller hung up, or gave up, before there was an answer. REST and gRPC. */
export const Gone = createParamDecorator((_: unknown, execution: ExecutionContext): AbortSignal => {
  const gone = new AbortController();
  const leave = (): void => {
    gone.abort();
  };
  if (execution.getType() === 'http') {
    const { raw } = execution.switchToHttp().getResponse<FastifyReply>();
    // It may have hung up while a guard waited, and no event tells it again.
    if (raw.destroyed || raw.closed) leave();
    else raw.once('close', leave);
  } else if (callOf(execution).cancelled) leave();
  else callOf(execution).once('cancelled', leave);
  return gone.signal;
});
