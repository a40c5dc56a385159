import type { Config } from '../config/load.js';
import { newId } from '../kernel/ids.js';
import { endSocket, httpRefusal } from './raw-http.js';
import { answerClientErrors, HTTP_SERVER } from './rest-edge.js';
import type { Site } from './site/site.js';
import { type DoorParts, doorOptions, guardDoor } from './tls/secure-door.js';
import type { ServerCertificates } from './tls/server-certificates.js';

/**
 * Options of Fastify's server.
 * @param certificates for a server that speaks TLS; null for one that does not
 */
export function httpServer(settings: Config, site: Site, certificates: ServerCertificates | null) {
  const common = { ...HTTP_SERVER, clientErrorHandler: answerClientErrors(site) };
  const http = { ...HTTP_SERVER.http, ServerResponse: site.answers() };
  if (certificates === null) return { ...common, http };
  return {
    ...common,
    https: { ...http, ...certificates.options, ...doorOptions(settings), ALPNProtocols: ['http/1.1'] },
  };
}

/** Puts the door before a server of these options that speaks TLS. */
export function guardHttp(
  server: Parameters<typeof guardDoor>[0],
  site: Site,
  parts: Pick<DoorParts, 'settings' | 'failures'>,
): void {
  guardDoor(server, {
    ...{ ...parts, serves: 'rest' },
    refuse: (socket, error) => {
      endSocket(socket, httpRefusal(error, newId(), site.headers));
    },
  });
}
