import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/**
 * Connections that have not shown a certificate yet, together. With more, the oldest goes: a gateway shows its own within
 * milliseconds, so that strangers who only wait are in nobody's way, and do not use up the descriptors.
 */
export const MAX_HANDSHAKES = 1024;

/** Bounds the strangers at the door of a TLS server. */
export class Handshakes {
  readonly #open = new Map<string, Socket>();

  /** Watches over all connections of a server. */
  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      const name = nameOf(socket);
      const [oldest] = this.#open;
      if (oldest && this.#open.size >= MAX_HANDSHAKES) {
        this.#open.delete(oldest[0]);
        oldest[1].destroy();
      }
      this.#open.set(name, socket);
      socket.once('close', () => this.#open.delete(name));
    });
    // A failed one is closed by Node.
    server.on('tlsClientError', (_error: Error, socket: TLSSocket) => {
      this.#open.delete(nameOf(socket));
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#open.delete(nameOf(socket));
    });
  }
}

/** The socket with TLS and the one below it are two objects, of one connection. */
const nameOf = ({ localPort, remoteAddress, remotePort }: Socket): string =>
  `${String(localPort)} ${String(remoteAddress)} ${String(remotePort)}`;
