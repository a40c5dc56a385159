import type { Socket } from 'node:net';
import type { Server, TLSSocket, TlsOptions } from 'node:tls';
import type { Config } from '../../config/load.js';
import { DomainError } from '../../kernel/errors.js';
import { Handshakes } from '../../kernel/handshakes.js';
import { newId } from '../../kernel/ids.js';
import { endSocket, httpRefusal } from '../raw-http.js';
import { securityHeaders } from '../site/security-headers.js';
import { noteVerified } from './client-certificates.js';
import type { Served, TlsFailures } from './tls-failures.js';

/** With this byte, the type of a record, TLS begins; no request of HTTP does. */
const HANDSHAKE_RECORD = 0x16;
/** Who has not shaken hands by then is cut off; and before that who has said nothing at all. */
const HANDSHAKE_MS = 10_000;
/** Of OpenSSL's and Node's codes, as they stand in an event. */
const CODE = /^[A-Z0-9_]{1,80}$/;

type ClientSettings = Pick<Config, 'TLS_CLIENT_AUTH' | 'TLS_CLIENT_CA_FILE'>;

/** Options of a TLS server behind such a door. Whether a certificate will do is for the door to say, in plain words. */
export const doorOptions = ({ TLS_CLIENT_AUTH: mode }: ClientSettings) =>
  ({
    ...{ requestCert: mode !== 'none', rejectUnauthorized: false },
    ...{ handshakeTimeout: HANDSHAKE_MS, noDelay: true },
  }) satisfies TlsOptions & { noDelay: boolean };

/** What a door needs. */
export interface DoorParts {
  readonly settings: ClientSettings;
  readonly serves: Served;
  readonly failures: Pick<TlsFailures, 'add'>;
  /** Tells somebody who speaks TLS, and the protocol of this port as far as is known, why they are not served. */
  readonly refuse: (socket: TLSSocket, error: DomainError) => void;
}

/**
 * Stands before a TLS server: who does not speak TLS is told so, those who only wait are bounded, and who has to show a
 * certificate and does not is not served.
 */
export function guardDoor(server: Server, parts: DoorParts): void {
  const { settings, serves, failures, refuse } = parts;
  const shake = listenersOf<Socket>(server, 'connection');
  server.on('connection', (socket: Socket) => {
    whenSpeaking(socket, (isTls) => {
      if (isTls) for (const each of shake) each.call(server, socket);
      else {
        failures.add(serves, socket.remoteAddress, 'TLS_REQUIRED');
        endSocket(socket, httpRefusal(TLS_REQUIRED, newId(), securityHeaders(false)));
      }
    });
  });
  // The HTTP server would answer in plain text.
  server.removeAllListeners('tlsClientError');
  new Handshakes().watch(server);
  server.on('tlsClientError', ({ code = '' }: NodeJS.ErrnoException, socket: TLSSocket) => {
    failures.add(serves, socket.remoteAddress, 'TLS_HANDSHAKE_FAILED', CODE.test(code) ? code : 'UNKNOWN');
    socket.destroy();
  });
  const serve = listenersOf<TLSSocket>(server, 'secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    const refusal = certificateProblem(settings, socket);
    if (refusal === null) {
      for (const each of serve) each.call(server, socket);
      return;
    }
    failures.add(serves, socket.remoteAddress, refusal.code, refusal.reason);
    socket.on('error', () => undefined);
    refuse(socket, refusal);
  });
}

const TLS_REQUIRED = new DomainError('TLS_REQUIRED', 'This port speaks TLS: call it with https, wss or gRPC over TLS.');

type Listener<S> = (this: Server, socket: S) => void;

/** Takes the listeners of an event away, for who calls them in their place. */
function listenersOf<S>(server: Server, event: string): Listener<S>[] {
  const listeners = server.listeners(event) as Listener<S>[];
  server.removeAllListeners(event);
  return listeners;
}

/** Tells by the first byte whether it is TLS. The byte is left where it was. */
function whenSpeaking(socket: Socket, speaks: (isTls: boolean) => void): void {
  const late = setTimeout(() => {
    socket.destroy();
  }, HANDSHAKE_MS);
  const failed = (): void => {
    socket.destroy();
  };
  socket.on('error', failed);
  socket.once('close', () => {
    clearTimeout(late);
  });
  socket.once('data', (first: Buffer) => {
    clearTimeout(late);
    socket.pause();
    socket.unshift(first);
    speaks(first[0] === HANDSHAKE_RECORD);
  });
}

/**
 * Why a connection is not served. Asked after the handshake: with TLS 1.3 a client believes itself connected before the
 * server has seen its certificate, and would only find the connection broken.
 */
function certificateProblem({ TLS_CLIENT_AUTH: mode, TLS_CLIENT_CA_FILE: ca }: ClientSettings, socket: TLSSocket) {
  if (mode === 'none') return null;
  const certificate = socket.getPeerX509Certificate();
  const required = mode === 'require' || mode === 'verify';
  if (certificate === undefined) {
    if (!required) return null;
    return new DomainError('CLIENT_CERTIFICATE_REQUIRED', 'Connections to this server show a certificate.');
  }
  // Without an authority of ours Node would take those that the system trusts.
  if (ca !== undefined && socket.authorized) {
    noteVerified(socket, certificate);
    return null;
  }
  if (mode !== 'verify') return null;
  const reason = String(socket.authorizationError);
  return new DomainError('CLIENT_CERTIFICATE_INVALID', 'The certificate is not one that this server takes.', {
    reason: CODE.test(reason) ? reason : 'UNKNOWN',
  });
}
