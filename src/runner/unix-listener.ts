import { chmodSync, chownSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server as NetServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { BYTES_SOCKET, CONTROL_SOCKET } from '../kernel/link.js';
import { type Listener, MAX_LINKS, type Services } from './listeners.js';

/** The way in for gateways of this machine: two sockets in the runner's folder, for their owner, and a group if asked. */
export class UnixListener implements Listener {
  readonly #control: Server;
  readonly #link: NetServer;

  /** @param group the id of the group that may use them too */
  constructor(
    private readonly directory: string,
    private readonly group: number | null,
    services: Services,
    private readonly log: Logger,
  ) {
    this.#control = services.control();
    this.#link = createServer((socket) => {
      services.link(socket);
    });
    this.#link.maxConnections = MAX_LINKS;
  }

  /** Both sockets are there, for whom they are meant only, before the first call is answered. */
  async open(): Promise<void> {
    const unclaimed = this.#file(`${BYTES_SOCKET}.${String(process.pid)}`);
    const link = this.#link;
    // For the sockets alone: the sessions inherit the usual one.
    const umask = process.umask(0o177);
    try {
      await new Promise<void>((done, fail) => link.once('error', fail).listen(unclaimed, done));
      // One connection that cannot be accepted, without descriptors left, is no reason to end every session.
      link.on('error', (error) => {
        this.log.error({ err: error }, 'link failed');
      });
      await promisify(this.#control.bindAsync.bind(this.#control))(
        `unix:${this.#file(CONTROL_SOCKET)}`,
        ServerCredentials.createInsecure(),
      );
      this.#openTo(this.group, unclaimed, this.#file(CONTROL_SOCKET));
      renameSync(unclaimed, this.#file(BYTES_SOCKET));
      writeFileSync(this.#file('runner.pid'), `${String(process.pid)}\n`);
    } catch (error) {
      link.close();
      throw error;
    } finally {
      process.umask(umask);
    }
  }

  async close(): Promise<void> {
    await Promise.all([
      new Promise((done) => this.#link.close(done)),
      new Promise<void>((done) => {
        this.#control.tryShutdown(() => {
          done();
        });
      }),
    ]);
  }

  destroy(): void {
    this.#control.forceShutdown(); // removes its socket
    for (const name of [BYTES_SOCKET, 'runner.pid']) rmSync(this.#file(name), { force: true });
  }

  /** Only who is in the group can reach them, and nobody any more whom an earlier start let in. */
  #openTo(group: number | null, ...sockets: string[]): void {
    const [user, own] = [process.getuid?.() ?? -1, process.getgid?.() ?? -1];
    const [folderMode, socketMode] = group === null ? [0o700, 0o600] : [0o750, 0o660];
    for (const [path, mode] of [
      ...sockets.map((socket) => [socket, socketMode] as const),
      [this.directory, folderMode],
    ] as const) {
      const found = statSync(path);
      if (found.uid !== user || found.gid !== (group ?? own)) chownSync(path, user, group ?? own);
      if ((found.mode & 0o777) !== mode) chmodSync(path, mode);
    }
  }

  #file(name: string): string {
    return join(this.directory, name);
  }
}
