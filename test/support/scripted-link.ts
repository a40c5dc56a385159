import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeControlFrame } from '../../src/kernel/frame.js';
import { BYTES_SOCKET } from '../../src/kernel/link.js';
import { ByteLink } from '../../src/runner-link/byte-link.js';
import { UnixEndpoint } from '../../src/runner-link/unix-endpoint.js';

/** A real Unix socket that is a runner's for one link at a time, to see what the gateway's side makes of what it sends. */
export class ScriptedLinkServer {
  readonly #sockets = new Set<Socket>();
  /** What follows `attached` in the same write. */
  rest: Buffer = Buffer.alloc(0);
  /** Takes nothing more after an attach, until {@link readOn}. */
  deaf = false;

  private constructor(
    private readonly directory: string,
    private readonly server: Server,
  ) {
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => {
        const attached = { type: 'attached', session: 's', epoch: 'e', attachment: 1, mode: 'controller', from: 0 };
        const size = { snapshot: false, dropped_before: 0, cols: 80, rows: 24, input_next: 0 };
        socket.write(Buffer.concat([encodeControlFrame({ ...attached, ...size }), this.rest]));
        if (this.deaf) socket.pause();
        else socket.resume();
      });
    });
  }

  static async start(): Promise<ScriptedLinkServer> {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-link-'));
    const server = createServer();
    await new Promise<void>((done) => server.listen(join(directory, BYTES_SOCKET), done));
    return new ScriptedLinkServer(directory, server);
  }

  attach(): Promise<ByteLink> {
    return ByteLink.open(new UnixEndpoint(this.directory, false), {
      ...{ type: 'attach', session: 's', channel: 0, user: 'alice', may_control: true },
    });
  }

  readOn(): void {
    for (const socket of this.#sockets) socket.resume();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.server.close(done));
    rmSync(this.directory, { recursive: true, force: true });
  }
}
