import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PinoLogger } from 'nestjs-pino';
import { type Observable, throwError } from 'rxjs';
import { logFields } from '../kernel/current-context.js';
import type { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import { toDomainError } from './error-mapping.js';
import { contextOf, findContext } from './execution-context.js';
import { toGrpcStatus } from './grpc-status.js';
import { errorBody, errorHeaders } from './rest-answer.js';
import { connectionOf } from './ws-adapter.js';

/**
 * Any thrown value as the answer of its transport. Bound globally for REST and gRPC; Nest does not apply global filters
 * to WebSocket gateways, so each gateway names it too.
 */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  constructor(private readonly logger: PinoLogger) {}

  catch(thrown: unknown, host: ArgumentsHost): Observable<never> | undefined {
    if (host.getType() === 'http') {
      this.#answerRest(thrown, host);
      return undefined;
    }
    if (host.getType() === 'ws') {
      connectionOf(host.switchToWs().getClient<object>()).refuse(thrown);
      return undefined;
    }
    const context = contextOf(host);
    return throwError(() => toGrpcStatus(this.#known(thrown, logFields(context)), context.requestId));
  }

  #answerRest(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const reply = http.getResponse<FastifyReply>();
    const context = findContext(http.getRequest<FastifyRequest>().raw);
    // A request that failed before the edge gave it a context has no id yet.
    const requestId = context?.requestId ?? newId();
    const error = this.#known(thrown, context ? logFields(context) : { request_id: requestId });
    if (reply.sent) return;
    void reply
      .status(error.answer.http)
      .headers({ ...errorHeaders(error), 'X-Request-Id': requestId })
      .send(errorBody(error, requestId));
  }

  /** The domain error, logged with its cause when it was not expected. */
  #known(thrown: unknown, call: object): DomainError {
    const error = toDomainError(thrown);
    if (error.answer.http >= 500) {
      this.logger.error({ err: error.cause ?? error, code: error.code, ...call }, 'request failed');
    }
    return error;
  }
}
