import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/** A way to PostgreSQL that can be cut and mended, as a network is. */
export class DatabaseProxy {
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #port = 0;

  private constructor(private readonly target: URL) {}

  /** @param url of the real database */
  static async open(url: string): Promise<DatabaseProxy> {
    const proxy = new DatabaseProxy(new URL(url));
    await proxy.mend();
    return proxy;
  }

  /** The database's address through the proxy. */
  get url(): string {
    const url = new URL(this.target);
    url.host = `127.0.0.1:${String(this.#port)}`;
    url.searchParams.delete('host');
    return url.href;
  }

  /** Nobody reaches the database any more, not even on an open connection. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    const closed = new Promise((done) => server?.close(done));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /**
   * Nothing moves any more on the connections that are open, and neither end is told; new ones work. As behind a router
   * that forgot them.
   */
  freeze(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  /** It can be reached (again), at the same address. */
  mend(): Promise<void> {
    if (this.#server !== null) return Promise.resolve();
    const server = createServer((near) => {
      const far = this.#dial();
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.once('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    this.#server = server;
    return new Promise((done, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', () => {
        const address = server.address();
        this.#port = typeof address === 'object' && address !== null ? address.port : 0;
        done();
      });
    });
  }

  #dial(): Socket {
    const folder = this.target.searchParams.get('host');
    const port = this.target.port === '' ? '5432' : this.target.port;
    return folder === null ? connect(Number(port), this.target.hostname) : connect(join(folder, `.s.PGSQL.${port}`));
  }
}
