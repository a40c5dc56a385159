import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** A way to a server that cuts every connection after some bytes, in the middle of whatever is under way. */
export class CuttingProxy {
  /** Connections that were cut. */
  cuts = 0;
  connections = 0;
  readonly #sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  /**
   * @param port of the server, on loopback
   * @param lifeOf bytes, of both directions together, after which the connection of that number is cut; Infinity: never
   */
  static async open(port: number, lifeOf: (connection: number) => number): Promise<CuttingProxy> {
    const server = createServer((near) => {
      proxy.#join(near, connect(port, '127.0.0.1'), lifeOf(proxy.connections));
      proxy.connections += 1;
    });
    const proxy = new CuttingProxy(server);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${String(this.port)}`;
  }

  /** Cuts what is open. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((done) => this.server.close(done));
  }

  #join(near: Socket, far: Socket, life: number): void {
    let left = life;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => undefined);
      from.once('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on('data', (chunk: Buffer) => {
        const part = chunk.subarray(0, Math.max(left, 0));
        left -= chunk.length;
        if (!to.write(part)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
        if (left > 0 || from.destroyed || to.destroyed) return;
        this.cuts += 1;
        near.destroy();
        far.destroy();
      });
    }
  }
}
