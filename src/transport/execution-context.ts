import type { ArgumentsHost, ExecutionContext } from '@nestjs/common';
import { Metadata } from '@grpc/grpc-js';
import type { FastifyRequest } from 'fastify';
import type { RequestContext } from '../kernel/request-context.js';

/**
 * The only place that knows Nest's kinds of execution context. Each edge puts the context of its call here before any
 * guard runs: REST in the `onRequest` hook, gRPC in the server interceptor, WebSocket at the upgrade.
 */
const contexts = new WeakMap<object, RequestContext>();

/** @param carrier the Fastify request, the gRPC metadata object, or the WebSocket */
export function attachContext(carrier: object, context: RequestContext): void {
  contexts.set(carrier, context);
}

/** The context put there by {@link attachContext}, if any. */
export const findContext = (carrier: object): RequestContext | undefined => contexts.get(carrier);

/** The same. @throws Error when there is none: a call went around its edge */
export function contextOfCarrier(carrier: object): RequestContext {
  const context = contexts.get(carrier);
  if (!context) throw new Error('A call reached a handler without passing its edge');
  return context;
}

/** A gRPC streaming call as its handler sees it. */
interface StreamCall {
  readonly metadata: Metadata;
}

function carrierOf(execution: ArgumentsHost): object {
  switch (execution.getType()) {
    case 'http':
      return execution.switchToHttp().getRequest<FastifyRequest>().raw;
    case 'ws':
      return execution.switchToWs().getClient<object>();
    case 'rpc': {
      // Unary handlers get (message, metadata, call); stream handlers get (call).
      const [first, second] = execution.getArgs<[StreamCall, Metadata | undefined]>();
      return second instanceof Metadata ? second : first.metadata;
    }
    default:
      throw new Error(`Unknown execution context ${execution.getType()}`);
  }
}

/** The request context of any call. */
export function contextOf(execution: ArgumentsHost): RequestContext {
  return contextOfCarrier(carrierOf(execution));
}

/** The named field of the caller's request: a path parameter on REST, a message field elsewhere. Not yet validated. */
export function fieldOf(execution: ExecutionContext, field: string): unknown {
  const source: unknown =
    execution.getType() === 'http'
      ? execution.switchToHttp().getRequest<FastifyRequest>().params
      : execution.getType() === 'ws'
        ? execution.switchToWs().getData()
        : execution.switchToRpc().getData();
  return typeof source === 'object' && source !== null && Object.hasOwn(source, field)
    ? (source as Record<string, unknown>)[field]
    : undefined;
}
