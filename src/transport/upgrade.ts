import type { IncomingMessage } from 'node:http';
import { DomainError } from '../kernel/errors.js';
import type { RequestContext } from '../kernel/request-context.js';
import type { ClientAddresses } from './client-address.js';
import { rawHeader } from './credential.js';
import { newContext } from './new-context.js';
import { verifiedSubject } from './tls/client-certificates.js';

/**
 * Is this request to become a WebSocket? Any other `Upgrade`, which HTTP allows to ignore, is served as a plain request:
 * Java's HttpClient asks for h2c on every first call.
 */
export const isWebSocketUpgrade = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' && headers.upgrade?.trim().toLowerCase() === 'websocket';

/** Path and query that the upgrade asks for. @throws DomainError MALFORMED_REQUEST */
export function addressOf({ url: target = '/' }: IncomingMessage): URL {
  // `//x` on its own would be read as a host.
  const url = URL.parse(target.startsWith('/') ? `ws://gatehouse${target}` : target);
  if (url === null) throw new DomainError('MALFORMED_REQUEST', 'The address could not be read.');
  return url;
}

/** The context of the connection that the upgrade asks for; its caller is not known yet. */
export function contextOfUpgrade(request: IncomingMessage, addresses: ClientAddresses): RequestContext {
  const { headers } = request;
  const { traceparent } = headers;
  const id = headers['x-request-id'];
  return newContext({
    transport: 'websocket',
    remoteAddress: addresses.of(request.socket.remoteAddress, rawHeader(request.rawHeaders, 'x-forwarded-for')),
    requestId: typeof id === 'string' ? id : undefined,
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
    userAgent: headers['user-agent'],
    clientCertificate: verifiedSubject(request.socket),
  });
}
