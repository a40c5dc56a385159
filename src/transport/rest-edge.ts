import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AuditTrail } from '../kernel/audit.js';
import { Authenticator } from '../kernel/authenticator.js';
import { within } from '../kernel/current-context.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { InFlight } from '../kernel/in-flight.js';
import { type AddressClass, RateLimits } from '../kernel/rate-limits.js';
import { type RateReport, rateHeaders } from '../kernel/rate-report.js';
import type { RequestContext } from '../kernel/request-context.js';
import type { ClientAddresses } from './client-address.js';
import { credentialOf, hasTokenInUrl, rawHeader } from './credential.js';
import { attachContext, contextOfCarrier } from './execution-context.js';
import { acceptOnlyJson } from './json-body.js';
import { newContext } from './new-context.js';
import { boundPipelines, closeAfterRefusal } from './pipelining.js';
import { answerRaw, endSocket, httpRefusal } from './raw-http.js';
import type { Site } from './site/site.js';
import { noteStranger } from './strangers.js';
import { verifiedSubject } from './tls/client-certificates.js';
import { isWebSocketUpgrade } from './upgrade.js';

/** Tells a caller whose key was rotated until when it still works. */
const ROTATED_HEADER = 'X-Api-Key-Rotated';

const AUTH_ROUTES = '/api/v1/auth/';
const HEALTH_ROUTES = '/health';

/** The gates of servers, for what no hook sees. */
const gates = new WeakMap<object, RestGate>();

/** What the gate in front of REST asks. */
export interface RestGate {
  readonly authenticator: Authenticator;
  readonly inFlight: InFlight;
  readonly addresses: ClientAddresses;
  readonly limits: RateLimits;
  readonly site: Site;
  readonly audit: AuditTrail;
  /** Routes that need no credential, as `GET /path`. */
  readonly publicRoutes: ReadonlySet<string>;
}

/**
 * The gate in front of REST. Fastify answers 400, 404 and 413 and parses bodies without running any guard, so the
 * caller is authenticated here, in `onRequest`, before a byte of the body is read.
 */
export function guardRest(fastify: FastifyInstance, gate: RestGate): void {
  const { authenticator, inFlight, addresses, limits, publicRoutes } = gate;
  gates.set(fastify.server, gate);
  boundPipelines(fastify.server, inFlight, (request) => limits.left(contextOf(request, addresses).remoteAddress));
  closeAfterRefusal(fastify, inFlight);
  acceptOnlyJson(fastify);
  fastify.addHook('onRequest', ({ raw }: FastifyRequest, reply: FastifyReply, done: () => void) => {
    const context = contextOf(raw, addresses);
    attachContext(raw, context);
    void reply.header('X-Request-Id', context.requestId);
    within(context, done);
  });
  guardSite(fastify, gate);
  // What follows the body is called from the socket's own events.
  fastify.addHook('preValidation', ({ raw }: FastifyRequest, _reply: FastifyReply, done: () => void) => {
    within(contextOfCarrier(raw), done);
  });
  fastify.addHook('onSend', async ({ raw }: FastifyRequest, reply: FastifyReply) => {
    const { rate, remoteAddress } = contextOfCarrier(raw);
    return Promise.resolve(void reply.headers(rateHeaders(rate ?? limits.left(remoteAddress))));
  });
  fastify.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    const { raw } = request;
    // A credential in the address is refused on a public route too.
    const open = isPublic(request, publicRoutes) && !hasTokenInUrl(raw);
    const context = contextOfCarrier(raw);
    const counted = addressClassOf(request, open);
    if (counted !== null) await limits.arrive(context, counted);
    if (open) return;
    inFlight.requireOpen();
    await authenticator.authenticate(() => credentialOf(raw), context);
    const grace = context.credential?.graceUntil ?? null;
    if (grace !== null) void reply.header(ROTATED_HEADER, grace.toISOString());
  });
}

/** What a request is counted as by its address, before its credential is looked at; null: by that. */
function addressClassOf({ is404, routeOptions: { url = '' } }: FastifyRequest, open: boolean): AddressClass | null {
  if (!is404 && url.startsWith(AUTH_ROUTES)) return 'auth';
  if (!open) return null;
  return url === HEALTH_ROUTES || url.startsWith(`${HEALTH_ROUTES}/`) ? 'health' : 'stranger';
}

/** Whoever calls, and with whatever: by one of our names, and a page of another site only after it has asked. */
function guardSite(fastify: FastifyInstance, { site, audit, limits }: RestGate): void {
  fastify.addHook('onRequest', async ({ raw }: FastifyRequest, reply: FastifyReply) => {
    const context = contextOfCarrier(raw);
    let allowed: Readonly<Record<string, string>> | null;
    try {
      site.requireHost(raw);
      allowed = site.preflight(raw);
    } catch (error) {
      noteStranger(audit, context, error);
      await limits.arrive(context, 'stranger');
      throw error;
    }
    if (allowed === null) return;
    await limits.arrive(context, 'health');
    await reply.status(204).headers(allowed).send();
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
    clientCertificate: verifiedSubject(socket),
  });
}

const single = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : undefined;

const CLIENT_ERRORS: Readonly<Record<string, DomainError>> = {
  HPE_HEADER_OVERFLOW: new DomainError('HEADERS_TOO_LARGE', 'The headers are too large.'),
  ERR_HTTP_REQUEST_TIMEOUT: new DomainError('REQUEST_TIMEOUT', 'The request took too long to arrive.'),
};
const UNREADABLE = new DomainError('MALFORMED_REQUEST', 'The request could not be read.');

/** What who sent something unreadable may still ask for: with its headers the word of a proxy is lost, too. */
function leftFor({ server }: FastifyInstance, { remoteAddress }: Socket): RateReport | null {
  const gate = gates.get(server);
  return gate === undefined ? null : gate.limits.left(gate.addresses.of(remoteAddress, []));
}

/** Answers what Node's parser could not read: no handler, hook or filter ever sees it. */
export const answerClientErrors = ({ headers }: Site) =>
  function answerClientError(this: FastifyInstance, error: Error & { code?: string }, socket: Socket): void {
    if (error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    const rate = leftFor(this, socket);
    const all = { ...headers, ...(rate === null ? {} : rateHeaders(rate)) };
    endSocket(socket, httpRefusal(CLIENT_ERRORS[error.code ?? ''] ?? UNREADABLE, newId(), all));
  };

/** Answers an address that Fastify's router could not read: no hook or filter ever sees it. */
function answerBadAddress(_error: Error, { raw, server }: FastifyRequest, reply: FastifyReply): void {
  answerRaw(reply.raw, UNREADABLE, contextOf(raw).requestId, leftFor(server, raw.socket));
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
  http: {
    ...{ maxHeaderSize: 16 * 1024, headersTimeout: 10_000, shouldUpgradeCallback: isWebSocketUpgrade },
    // How often the two times are looked at.
    connectionsCheckingInterval: 1000,
    // Looked at by the gate, in whose words the answer is.
    requireHostHeader: false,
  },
  frameworkErrors: answerBadAddress,
} as const;
