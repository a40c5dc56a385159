import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import { contextOfCarrier } from './execution-context.js';
import { answerRaw } from './raw-http.js';

/** Requests of one connection that may be under way at once. No client of ours pipelines at all. */
const MAX_IN_FLIGHT = 32;

/** Sockets whose parser found more requests than that: what else it finds is dropped with the connection. */
const overloaded = new WeakSet<Socket>();

/**
 * Bounds how much work the requests on one connection make at a time. Node parses all that came in one read before any
 * of it is answered, so a client that pipelines without end would have the gateway to itself.
 */
export function boundPipelines(server: Server): void {
  const inFlight = new WeakMap<Socket, number>();
  const handlers = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    if (overloaded.has(socket)) return;
    const count = (inFlight.get(socket) ?? 0) + 1;
    if (count > MAX_IN_FLIGHT) {
      overloaded.add(socket);
      answerRaw(
        response,
        new DomainError('RATE_LIMIT_EXCEEDED', 'Too many requests at once on one connection.'),
        newId(),
      );
      return;
    }
    inFlight.set(socket, count);
    response.once('close', () => {
      inFlight.set(socket, (inFlight.get(socket) ?? 1) - 1);
    });
    for (const handle of handlers) handle(request, response);
  });
}

/**
 * Ends the connection with the refusal of a caller that is not known, so that a stranger cannot go on asking on it. One
 * whose body is still arriving is let finish: closing at once would take the answer from it.
 */
export function closeAfterRefusal(fastify: FastifyInstance): void {
  fastify.addHook('onSend', async ({ raw }, reply) => {
    const refused = reply.statusCode >= 400 && reply.statusCode < 500;
    if (refused && raw.complete && contextOfCarrier(raw).principal === null) void reply.header('Connection', 'close');
    return Promise.resolve();
  });
}
