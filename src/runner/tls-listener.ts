import type { Socket } from 'node:net';
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BYTES_PROTOCOL, CONTROL_PROTOCOL } from '../kernel/link.js';
import { type LinkTls, readLinkTls } from '../kernel/link-tls.js';
import { isGateway } from './gateway-certificates.js';
import { Handshakes } from '../kernel/handshakes.js';
import { type Listener, MAX_LINKS, type Services } from './listeners.js';
import { Peers } from './peers.js';
import type { TlsOptions } from './tls-options.js';

/** Who has not shown a certificate by then is cut off. */
const HANDSHAKE_MS = 10_000;
/** A gateway has one connection for control; those of strangers count until they are cut off. */
const MAX_CONTROLS = 2000;
/** The kernel asks a silent connection for a sign of life after so long, and gives it up ten seconds later. */
const KEEP_ALIVE_MS = 10_000;
/** The same for a connection for control, by HTTP/2's own means, which find out what does not answer though it stands. */
const PINGS = { 'grpc.keepalive_time_ms': 5000, 'grpc.keepalive_timeout_ms': 4000 };
const PROTOCOLS = { control: CONTROL_PROTOCOL, links: BYTES_PROTOCOL };
/** How often the files are looked at. */
const LOOK_MS = 5000;

/**
 * The way in for gateways of other machines: two ports, TLS 1.3 with certificates of one authority on both sides. TLS ends
 * here rather than in grpc-js, which has no way to refuse older versions; it gets what is inside.
 */
export class TlsListener implements Listener {
  readonly #peers = new Peers();
  readonly #control: Server;
  readonly #ports: readonly { readonly port: number; readonly server: TlsServer }[];
  #tls: LinkTls;
  #look: NodeJS.Timeout | undefined;
  /** What was last found wrong with the files, to be told once. */
  #mistake = '';

  /** @throws Error with a plain sentence when the files are not what they should be */
  constructor(
    private readonly options: TlsOptions,
    services: Services,
    private readonly log: Logger,
  ) {
    this.#tls = readLinkTls(options.files);
    this.#control = services.control(PINGS);
    const http2 = this.#control.createConnectionInjector(ServerCredentials.createInsecure());
    const control = this.#createServer('control', (socket) => {
      http2.injectConnection(socket);
    });
    const bytes = this.#createServer('links', (socket) => {
      services.link(socket);
    });
    this.#ports = [
      { port: options.controlPort, server: control },
      { port: options.bytesPort, server: bytes },
    ];
  }

  async open(): Promise<void> {
    const { host } = this.options;
    for (const { port, server } of this.#ports) {
      await new Promise<void>((done, fail) => server.once('error', fail).listen(port, host, done));
      // One connection that cannot be accepted is no reason to end every session.
      server.on('error', (error) => {
        this.log.error({ err: error }, 'TLS link failed');
      });
      this.log.info({ host, port }, 'listening for gateways of other machines');
    }
    this.#look = setInterval(() => {
      this.#reload();
    }, LOOK_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#look);
    await Promise.all([
      ...this.#ports.map(({ server }) => new Promise((done) => server.close(done))),
      new Promise<void>((done) => {
        this.#control.tryShutdown(() => {
          done();
        });
      }),
    ]);
  }

  destroy(): void {
    this.#control.forceShutdown();
    this.#peers.cut();
  }

  #createServer(kind: 'control' | 'links', serve: (socket: Socket) => void): TlsServer {
    const server = createServer({
      ...this.#tls,
      ...{ requestCert: true, rejectUnauthorized: true, handshakeTimeout: HANDSHAKE_MS },
      ...{ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
      ALPNProtocols: [PROTOCOLS[kind]],
    });
    server.maxConnections = kind === 'control' ? MAX_CONTROLS : MAX_LINKS;
    new Handshakes().watch(server);
    server.on('tlsClientError', (error) => {
      this.log.debug({ err: error }, 'no gateway of ours');
    });
    server.on('secureConnection', (socket) => {
      this.#receive(kind, socket, serve);
    });
    return server;
  }

  /** Node has checked the certificate against the authority. */
  #receive(kind: 'control' | 'links', socket: TLSSocket, serve: (socket: Socket) => void): void {
    socket.on('error', (error) => {
      this.log.debug({ err: error }, 'TLS link broken off');
    });
    const certificate = socket.getPeerX509Certificate();
    const known = socket.authorized && isGateway(certificate, this.options.gateways);
    // One that names no protocol may be made to speak to us by somebody else.
    if (!certificate || !known || socket.alpnProtocol !== PROTOCOLS[kind]) {
      this.log.warn({ certificate: certificate?.subjectAltName, from: socket.remoteAddress }, 'not a gateway of ours');
      socket.destroy();
      return;
    }
    this.#peers.add(kind, certificate.fingerprint256, socket);
    serve(socket);
  }

  /** Takes new files without ending a session. With a new list of authorities everybody has to show a certificate anew. */
  #reload(): void {
    const before = this.#tls;
    try {
      const found = readLinkTls(this.options.files);
      this.#mistake = '';
      if (JSON.stringify(found) === JSON.stringify(before)) return;
      for (const { server } of this.#ports) server.setSecureContext(found);
      this.#tls = found;
      this.log.info('new certificates are in use');
      if (found.ca.join() !== before.ca.join()) this.#peers.cut();
    } catch (error) {
      const words = error instanceof Error ? error.message : 'unknown';
      if (words !== this.#mistake)
        this.log.error({ reason: words }, 'new certificates cannot be used; the old ones are');
      this.#mistake = words;
    }
  }
}
