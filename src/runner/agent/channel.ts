import { timingSafeEqual } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { randomToken } from '../../kernel/ids.js';
import {
  type ChannelKind,
  type FromAgent,
  fromAgent,
  hello,
  isOfKind,
  MAX_LINE_BYTES,
  type ToAgent,
} from './channel-messages.js';

/** Connections of one agent at a time: hooks are short, of the ACP client there is one. */
export const MAX_CONNECTIONS = 16;
/** Lines of one agent within a second. Whoever sends more is cut off. */
export const MAX_LINES_PER_SECOND = 200;
/** Who has said nothing for so long is cut off, unless it is who we talk to. */
const SILENT_MS = 5000;

/**
 * The socket by which the hooks of one agent, and the client of one that speaks ACP, tell its state. It lies in a folder
 * that only the runner's user can enter; the token says whose words they are. Whatever comes is bounded and checked: the
 * worst that an agent can do here is to tell nonsense about itself.
 */
export class Channel {
  readonly token = randomToken(32);
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** Who is told things. */
  #client: Socket | undefined;
  #lines = { second: 0, count: 0 };

  private constructor(
    readonly path: string,
    private readonly kind: ChannelKind,
    private readonly heard: (message: FromAgent) => void,
  ) {
    this.#server = createServer((socket) => {
      this.#accept(socket);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Listens at `path` for the messages of one kind. @throws what the system says */
  static async open(path: string, kind: ChannelKind, heard: (message: FromAgent) => void): Promise<Channel> {
    const channel = new Channel(path, kind, heard);
    await new Promise<void>((done, fail) => channel.#server.once('error', fail).listen(path, done));
    // Without descriptors for one connection more there is still the screen.
    channel.#server.on('error', () => undefined);
    chmodSync(path, 0o600);
    return channel;
  }

  /** @returns false when there is nobody to tell */
  send(message: ToAgent): boolean {
    if (this.#client?.writable !== true) return false;
    this.#client.write(`${JSON.stringify(message)}\n`);
    return true;
  }

  /** Hangs up on everybody. */
  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #accept(socket: Socket): void {
    this.#open.add(socket);
    let known = false;
    let rest = '';
    socket.setEncoding('utf8').setTimeout(SILENT_MS, () => {
      if (socket !== this.#client) socket.destroy();
    });
    socket.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (!this.#isAllowed(line)) return void socket.destroy();
        if (known ? !this.#hear(line, socket) : !(known = this.#isOurs(line))) return void socket.destroy();
      }
      if (rest.length > MAX_LINE_BYTES) socket.destroy();
    });
    socket
      .on('error', () => undefined)
      .on('close', () => {
        this.#open.delete(socket);
        if (socket === this.#client) this.#client = undefined;
      });
  }

  #isAllowed(line: string): boolean {
    const second = Math.floor(performance.now() / 1000);
    this.#lines = second === this.#lines.second ? { second, count: this.#lines.count + 1 } : { second, count: 1 };
    return this.#lines.count <= MAX_LINES_PER_SECOND && line.length <= MAX_LINE_BYTES;
  }

  #isOurs(line: string): boolean {
    const sent = hello.safeParse(parse(line));
    const [given, own] = [Buffer.from(sent.data?.token ?? ''), Buffer.from(this.token)];
    return given.length === own.length && timingSafeEqual(given, own);
  }

  #hear(line: string, socket: Socket): boolean {
    const message = fromAgent.safeParse(parse(line));
    if (!message.success || !isOfKind(message.data, this.kind)) return false;
    if (message.data.type !== 'hook') this.#client ??= socket;
    this.heard(message.data);
    return true;
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}
