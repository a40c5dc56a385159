import {
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServerMethodDefinition,
  status,
} from '@grpc/grpc-js';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Counter } from '../kernel/counter.js';
import type { Metrics } from '../kernel/metrics.js';

/** HTTP methods that a route may have; any other is told as `other`. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);

/** Measures every answer over HTTP by its route, never by its path. */
export function measureRest(fastify: FastifyInstance, metrics: Metrics): void {
  const requests = metrics.durations(
    { name: 'http_request_duration_seconds', help: 'How long answers over HTTP took, streams to their end.' },
    ['route', 'method', 'status'],
  );
  fastify.addHook('onResponse', (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
    const { is404, routeOptions } = request;
    const route = is404 ? 'none' : (routeOptions.url ?? 'none');
    const method = METHODS.has(request.method) ? request.method : 'other';
    requests.observe({ route, method, status: String(reply.statusCode) }, reply.elapsedTime / 1000);
    done();
  });
}

/** Measures every call over gRPC that is to a method there is, in front of the gate: what it refuses, too. */
export function measureGrpc(metrics: Metrics): ServerInterceptor {
  const calls = new Counter(['method', 'code']);
  metrics.count({ name: 'grpc_requests_total', help: 'Calls over gRPC that ended.' }, calls);
  const took = metrics.durations(
    { name: 'grpc_request_duration_seconds', help: 'How long calls over gRPC took, streams to their end.' },
    ['method'],
  );
  return ({ path }: ServerMethodDefinition<unknown, unknown>, call: ServerInterceptingCallInterface) => {
    const began = performance.now();
    // `PtyService/List`, without its package.
    const method = path.slice(path.lastIndexOf('.') + 1);
    let ended = false;
    const end = (code: number): void => {
      // A call that its client cancels may be answered all the same.
      if (ended) return;
      ended = true;
      calls.add({ method, code: status[code] ?? 'UNKNOWN' });
      took.observe({ method }, (performance.now() - began) / 1000);
    };
    const listener = new ServerListenerBuilder()
      .withOnCancel(() => {
        end(status.CANCELLED);
      })
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => {
        next(listener);
      })
      .withSendStatus((sent, next) => {
        end(sent.code);
        next(sent);
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}

/** Messages over WebSocket. Frames of data are counted by an addition. */
export class WsTraffic {
  readonly messages = new Counter(['direction', 'type']);
  readonly input = this.messages.at({ direction: 'in', type: 'input_frame' });
  readonly output = this.messages.at({ direction: 'out', type: 'output_frame' });

  /** @param type one that there is: of a handler, or of our own messages */
  came(type: string): void {
    this.messages.add({ direction: 'in', type });
  }

  went(message: object): void {
    const type = 'type' in message && typeof message.type === 'string' ? message.type : 'other';
    this.messages.add({ direction: 'out', type });
  }

  show(metrics: Metrics): void {
    metrics.count({ name: 'websocket_messages_total', help: 'Messages over WebSocket.' }, this.messages);
  }
}
