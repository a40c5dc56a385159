import { existsSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { BYTES_SOCKET, CONTROL_SOCKET } from '../kernel/link.js';
import { type ControlChannel, readInto, type RunnerEndpoint } from './runner-endpoint.js';

/** What the system says when no process listens there; anything else, slowness above all, is no death. */
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED']);

/** A runner on this machine: two sockets in a folder that only this user can enter. */
export class UnixEndpoint implements RunnerEndpoint {
  readonly place: string;
  readonly own: string | null;
  readonly control: ControlChannel;

  /** @param embedded whether this gateway starts and ends the runner */
  constructor(
    private readonly directory: string,
    embedded: boolean,
  ) {
    this.own = embedded ? directory : null;
    this.place = embedded ? `in ${directory}` : `in RUNNER_DIR (${directory})`;
    const address = `unix:${join(directory, CONTROL_SOCKET)}`;
    this.control = { address, credentials: credentials.createInsecure(), options: {} };
  }

  isThere(): boolean {
    return existsSync(join(this.directory, CONTROL_SOCKET));
  }

  isDeserted(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createConnection(join(this.directory, CONTROL_SOCKET), () => {
        socket.destroy();
        resolve(false);
      });
      socket.on('error', ({ code }: NodeJS.ErrnoException) => {
        resolve(code !== undefined && NOBODY.has(code));
      });
    });
  }

  connect(receive: (chunk: Buffer) => void): Socket {
    return createConnection({ path: join(this.directory, BYTES_SOCKET), onread: readInto(receive) });
  }

  lost(): void {
    // The kernel closes the sockets of a process that is gone.
  }

  diagnose(): Promise<string> {
    return Promise.resolve(this.isThere() ? 'nobody listens on its socket' : 'it has no socket there');
  }
}
