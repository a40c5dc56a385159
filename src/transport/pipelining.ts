import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { newId } from '../kernel/ids.js';
import type { InFlight } from '../kernel/in-flight.js';
import { tooOften } from '../kernel/rate-limits.js';
import type { RateReport } from '../kernel/rate-report.js';
import { contextOfCarrier } from './execution-context.js';
import { answerRaw } from './raw-http.js';

/** Requests of one connection that may be under way at once. No client of ours pipelines at all. */
const MAX_IN_FLIGHT = 32;
const RETRY_MS = 1000;

/** Sockets whose parser found more requests than that: what else it finds is dropped with the connection. */
const overloaded = new WeakSet<Socket>();

/**
 * Counts the requests under way, and bounds how much work those on one connection make at a time. Node parses all that
 * came in one read before any of it is answered, so a client that pipelines without end would have the gateway to itself.
 * @param left what the sender of a request may still ask for
 */
export function boundPipelines(
  server: Server,
  inFlight: InFlight,
  left: (request: IncomingMessage) => RateReport,
): void {
  const open = new WeakMap<Socket, Set<() => void>>();
  const handlers = server.listeners('request') as RequestListener[];
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    if (overloaded.has(socket)) return;
    const ends = open.get(socket) ?? track(socket);
    open.set(socket, ends);
    if (ends.size >= MAX_IN_FLIGHT) {
      overloaded.add(socket);
      answerRaw(response, tooOften('Too many requests at once on one connection.', RETRY_MS), newId(), left(request));
      return;
    }
    const end = inFlight.begin();
    const over = (): void => {
      ends.delete(over);
      end();
    };
    ends.add(over);
    response.once('close', over);
    for (const handle of handlers) handle(request, response);
  });
}

/** The requests of a connection; they end with it, whatever becomes of their answers: an upgrade behind them drops these. */
function track(socket: Socket): Set<() => void> {
  const ends = new Set<() => void>();
  socket.once('close', () => {
    for (const over of ends) over();
  });
  return ends;
}

/**
 * Ends the connection with the refusal of a caller that is not known, so that a stranger cannot go on asking on it. One
 * whose body is still arriving is let finish: closing at once would take the answer from it. A server that stops ends
 * every connection so.
 */
export function closeAfterRefusal(fastify: FastifyInstance, inFlight: InFlight): void {
  fastify.addHook('onSend', async ({ raw }, reply) => {
    const refused = reply.statusCode >= 400 && reply.statusCode < 500;
    const unknown = refused && contextOfCarrier(raw).principal === null;
    if ((unknown || inFlight.draining) && raw.complete) void reply.header('Connection', 'close');
    return Promise.resolve();
  });
}
