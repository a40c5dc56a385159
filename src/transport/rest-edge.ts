import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Authenticator } from '../kernel/authenticator.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import { credentialFrom, rawHeader, refuseTokenInUrl } from './credential.js';
import { attachContext } from './execution-context.js';
import { acceptOnlyJson } from './json-body.js';
import { newContext } from './new-context.js';
import { boundPipelines, closeAfterRefusal } from './pipelining.js';
import { COMMON_HEADERS } from './rest-answer.js';
import { answerRaw, endSocket, httpRefusal } from './raw-http.js';

/** Limits of the HTTP server. */
export const HTTP_LIMITS = {
  // 64 KiB of input, every byte of it escaped in JSON.
  bodyLimit: 400 * 1024,
  maxRequestsPerSocket: 1000,
  // As long as an address can be: what a parameter may be is said by its schema, after the gate.
  routerOptions: { maxParamLength: 16 * 1024 },
  frameworkErrors: (_error: Error, _request: FastifyRequest, reply: FastifyReply): void => {
    // An address that cannot be decoded passes no hook.
    answerRaw(reply.raw, UNREADABLE, newId());
  },
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  http: { maxHeaderSize: 16 * 1024, headersTimeout: 10_000 },
} as const;

/**
 * The gate in front of REST. Fastify answers 400, 404 and 413 and parses bodies without running any guard, so the
 * caller is authenticated here, in `onRequest`, before a byte of the body is read.
 * @param publicRoutes routes that need no credential, as `GET /path`
 */
export function guardRest(
  fastify: FastifyInstance,
  authenticator: Authenticator,
  publicRoutes: ReadonlySet<string>,
): void {
  boundPipelines(fastify.server);
  closeAfterRefusal(fastify);
  acceptOnlyJson(fastify);
  fastify.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    const { headers, raw } = request;
    const context = newContext({
      transport: 'rest',
      remoteAddress: raw.socket.remoteAddress,
      requestId: single(headers['x-request-id']),
      traceparent: single(headers['traceparent']),
      userAgent: headers['user-agent'],
    });
    attachContext(raw, context);
    void reply.headers({ ...COMMON_HEADERS, 'X-Request-Id': context.requestId });
    refuseTokenInUrl(raw.url ?? '');
    const { url } = request.routeOptions;
    if (!request.is404 && url !== undefined && publicRoutes.has(`${request.method} ${url}`)) return;
    const credential = credentialFrom(
      rawHeader(raw.rawHeaders, 'authorization'),
      rawHeader(raw.rawHeaders, 'x-api-key'),
    );
    await authenticator.authenticate(credential, context);
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
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  endSocket(socket, httpRefusal(CLIENT_ERRORS[error.code ?? ''] ?? UNREADABLE, newId()));
}
