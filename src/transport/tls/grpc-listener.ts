import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import type { Config } from '../../config/load.js';
import { DomainError } from '../../kernel/errors.js';
import { newId } from '../../kernel/ids.js';
import type { Log } from '../../kernel/log.js';
import { endSocket, httpRefusal } from '../raw-http.js';
import { securityHeaders } from '../site/security-headers.js';
import { goAway } from './go-away.js';
import { doorOptions, guardDoor } from './secure-door.js';
import type { ServerCertificates } from './server-certificates.js';
import type { TlsFailures } from './tls-failures.js';

/** HTTP/2, on which gRPC goes, and nothing else. */
const PROTOCOL = 'h2';
const NO_PROTOCOL = new DomainError('MALFORMED_REQUEST', 'This port speaks gRPC, over HTTP/2.');

/**
 * TLS in front of the gRPC server, which gets what is inside: grpc-js has no way to raise the version, to ask clients for
 * a certificate without refusing them, or to answer who does not speak TLS.
 */
export class GrpcTlsListener {
  readonly #server: TlsServer;
  #serve: (socket: TLSSocket) => void = (socket) => {
    socket.destroy();
  };

  constructor(
    settings: Pick<Config, 'TLS_CLIENT_AUTH' | 'TLS_CLIENT_CA_FILE'>,
    certificates: ServerCertificates,
    failures: Pick<TlsFailures, 'add'>,
    private readonly log: Log,
  ) {
    const server = createServer({ ...certificates.options, ...doorOptions(settings), ALPNProtocols: [PROTOCOL] });
    server.on('secureConnection', (socket) => {
      this.#receive(socket);
    });
    const refuse = (socket: TLSSocket, { code }: DomainError): void => {
      endSocket(socket, goAway(code));
    };
    guardDoor(server, { settings, serves: 'grpc', failures, refuse });
    certificates.renew(server);
    this.#server = server;
  }

  /**
   * Listens, and hands connections into the gRPC server.
   * @throws Error of the system's when it cannot
   */
  async open(grpc: Server, host: string, port: number): Promise<void> {
    const http2 = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    this.#serve = (socket) => {
      http2.injectConnection(socket);
    };
    await new Promise<void>((done, fail) => this.#server.once('error', fail).listen(port, host, done));
    // One connection that cannot be accepted is no reason to end.
    this.#server.on('error', (error: Error) => {
      this.log.error({ err: error }, 'the gRPC listener failed');
    });
  }

  /** Takes no new connections. */
  close(): void {
    this.#server.close();
  }

  #receive(socket: TLSSocket): void {
    socket.on('error', (error: Error) => {
      this.log.debug({ err: error }, 'a gRPC connection broke off');
    });
    // One that names no protocol may be made to speak to us by somebody else.
    if (socket.alpnProtocol === PROTOCOL) this.#serve(socket);
    else endSocket(socket, httpRefusal(NO_PROTOCOL, newId(), securityHeaders(true)));
  }
}
