import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Authenticator } from '../kernel/authenticator.js';
import { within } from '../kernel/current-context.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { InFlight } from '../kernel/in-flight.js';
import type { RequestContext } from '../kernel/request-context.js';
import type { ClientAddresses } from './client-address.js';
import { credentialOf, hasTokenInUrl, rawHeader } from './credential.js';
import { attachContext, contextOfCarrier } from './execution-context.js';
import { acceptOnlyJson } from './json-body.js';
import { newContext } from './new-context.js';
import { boundPipelines, closeAfterRefusal } from './pipelining.js';
import { answerRaw, endSocket, httpRefusal } from './raw-http.js';
import { COMMON_HEADERS } from './rest-answer.js';
import { isWebSocketUpgrade } from './upgrade.js';

/** Tells a caller whose key was rotated until when it still works. */
const ROTATED_HEADER = 'X-Api-Key-Rotated';

/** What the gate in front of REST asks. */
export interface RestGate {
  readonly authenticator: Authenticator;
  readonly inFlight: InFlight;
  readonly addresses: ClientAddresses;
  /** Routes that need no credential, as `GET /path`. */
  readonly publicRoutes: ReadonlySet<string>;
}

/**
 * The gate in front of REST. Fastify answers 400, 404 and 413 and parses bodies without running any guard, so the
 * caller is authenticated here, in `onRequest`, before a byte of the body is read.
 */
export function guardRest(
  fastify: FastifyInstance,
  { authenticator, inFlight, addresses, publicRoutes }: RestGate,
): void {
  boundPipelines(fastify.server, inFlight);
  closeAfterRefusal(fastify, inFlight);
  acceptOnlyJson(fastify);
  fastify.addHook('onRequest', ({ raw }: FastifyRequest, reply: FastifyReply, done: () => void) => {
    const context = contextOf(raw, addresses);
    attachContext(raw, context);
    void reply.headers({ ...COMMON_HEADERS, 'X-Request-Id': context.requestId });
    within(context, done);
  });
  // What follows the body is called from the socket's own events.
  fastify.addHook('preValidation', ({ raw }: FastifyRequest, _reply: FastifyReply, done: () => void) => {
    within(contextOfCarrier(raw), done);
  });
  fastify.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    const { raw } = request;
    // A credential in the address is refused on a public route too.
    if (isPublic(request, publicRoutes) && !hasTokenInUrl(raw)) return;
    inFlight.requireOpen();
    const context = contextOfCarrier(raw);
    await authenticator.authenticate(() => credentialOf(raw), context);
    const grace = context.credential?.graceUntil ?? null;
    if (grace !== null) void reply.header(ROTATED_HEADER, grace.toISOString());
  });
}

/** HEAD is GET without the body, so it asks for no more. */
function isPublic(
  { method, is404, routeOptions: { url } }: FastifyRequest,
  publicRoutes: ReadonlySet<string>,
): boolean {
  return !is404 && url !== undefined && publicRoutes.has(`${method === 'HEAD' ? 'GET' : method} ${url}`);
}

function contextOf({ headers, rawHeaders, socket }: IncomingMessage, addresses?: ClientAddresses): RequestContext {
  const peer = socket.remoteAddress;
  return newContext({
    transport: 'rest',
    remoteAddress: addresses?.of(peer, rawHeader(rawHeaders, 'x-forwarded-for')) ?? peer ?? 'unknown',
    requestId: single(headers['x-request-id']),
    traceparent: single(headers['traceparent']),
    userAgent: headers['user-agent'],
  });
}

const single = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;

const CLIENT_ERRORS: Readonly<Record<string, DomainError>> = {
  HPE_HEADER_OVERFLOW: new DomainError('HEADERS_TOO_LARGE', 'The headers are too large.'),
  ERR_HTTP_REQUEST_TIMEOUT: new DomainError('REQUEST_TIMEOUT', 'The request took too long to arrive.'),
};
const UNREADABLE = new DomainError('MALFORMED_REQUEST', 'The request could not be read.');

/** Answers what Node's parser could not read: no handler, hook or filter ever sees it. */
function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  endSocket(socket, httpRefusal(CLIENT_ERRORS[error.code ?? ''] ?? UNREADABLE, newId()));
}

/** Answers an address that Fastify's router could not read: no hook or filter ever sees it. */
function answerBadAddress(_error: Error, { raw }: FastifyRequest, reply: FastifyReply): void {
  answerRaw(reply.raw, UNREADABLE, contextOf(raw).requestId);
}

/** Limits of the HTTP server, and its answers to what reaches no handler. */
export const HTTP_SERVER = {
  // 64 KiB of input, every byte of it escaped in JSON.
  bodyLimit: 400 * 1024,
  maxRequestsPerSocket: 1000,
  // As long as an address can be: what a parameter may be is said by its schema, after the gate.
  routerOptions: { maxParamLength: 16 * 1024 },
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  http: { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, shouldUpgradeCallback: isWebSocketUpgrade },
  clientErrorHandler: answerClientError,
  frameworkErrors: answerBadAddress,
} as const;
