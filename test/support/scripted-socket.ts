import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { encodeDataFrame, readDataHeader, DATA_HEADER_BYTES, payloadOf, FrameReader } from '../../src/kernel/frame.js';
import { until } from './gateway.js';

export type Told = Record<string, unknown>;

/** A data frame as a client of `gatehouse.v1` is sent it. */
const data = (type: number, flags: number, offset: number, bytes: Uint8Array): Buffer => {
  let payload: Buffer = Buffer.alloc(0);
  new FrameReader(1 << 26).push(encodeDataFrame({ type, flags, channel: 0, offset }, bytes), (frame) => {
    payload = payloadOf(frame);
  });
  return payload;
};

/** One client of a {@link ScriptedSocketServer}: what it sent, and what the test has it told. */
export class ScriptedClient {
  readonly told: Told[] = [];
  readonly typed: { readonly position: number; readonly bytes: Buffer }[] = [];
  closed: number | null = null;

  constructor(
    readonly socket: WebSocket,
    readonly url: URL,
    readonly authorization: string | undefined,
  ) {
    socket.on('message', (message: Buffer, isBinary: boolean) => {
      if (!isBinary) this.told.push(JSON.parse(message.toString()) as Told);
      else this.typed.push({ position: readDataHeader(message).offset, bytes: message.subarray(DATA_HEADER_BYTES) });
    });
    socket.on('close', (code) => (this.closed = code));
  }

  /** What the address asks for. */
  get query(): Told {
    return Object.fromEntries(this.url.searchParams);
  }

  say(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** The answer to the attach. */
  attach(fields: Told = {}): void {
    const attached = { channel: 0, session: 's', epoch: 'e', mode: 'controller', from: 0, dropped_before: 0 };
    const { from = attached.from } = fields;
    this.say({ type: 'attached', ...attached, cols: 80, rows: 24, input_next: 0, snapshot: false, ...fields, from });
  }

  /** Who is attached: the number of the attachment, the user, the mode. */
  participants(...list: readonly (readonly [number, string, string])[]): void {
    const participants = list.map(([attachment, user_id, mode]) => ({ attachment, user_id, mode, cols: 80, rows: 24 }));
    this.say({ type: 'participants', channel: 0, participants, total: list.length });
  }

  output(offset: number, bytes: string | Uint8Array): void {
    this.socket.send(data(1, 0, offset, Buffer.from(bytes)));
  }

  snapshot(offset: number, fragments: readonly string[], { whole = true } = {}): void {
    fragments.forEach((fragment, index) => {
      const last = whole && index === fragments.length - 1;
      this.socket.send(data(3, last ? 1 : 0, offset, Buffer.from(fragment)));
    });
  }

  /** Waits for a message of this type, and takes it. */
  async hears(type: string): Promise<Told> {
    let index = -1;
    await until(
      `${type}, heard ${JSON.stringify(this.told)}`,
      () => (index = this.told.findIndex((message) => message['type'] === type)) >= 0,
    );
    const [message] = this.told.splice(index, 1);
    return message ?? {};
  }

  /** Waits until so many bytes were typed; all of them, in the order they came. */
  async hasTyped(count: number): Promise<string> {
    await until(`${String(count)} bytes of input`, () => this.#typedBytes().length >= count);
    return this.#typedBytes().toString();
  }

  #typedBytes(): Buffer {
    return Buffer.concat(this.typed.map(({ bytes }) => bytes));
  }
}

/** A real WebSocket server that says what a test has it say, to see what a client makes of it. */
export class ScriptedSocketServer {
  readonly clients: ScriptedClient[] = [];
  /** Answers the next upgrades with this status and body; null lets them through. */
  refusal: readonly [status: number, body: string] | null = null;
  /** The subprotocol that is chosen. */
  protocol: string | false = 'gatehouse.v1';
  #taken = 0;

  readonly url: string;

  private constructor(private readonly server: Server) {
    this.url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    const sockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      handleProtocols: () => this.protocol,
    });
    server.on('upgrade', (request: IncomingMessage, socket, head) => {
      if (this.refusal !== null) {
        const [status, body] = this.refusal;
        socket.end(
          `HTTP/1.1 ${String(status)} No\r\nContent-Length: ${String(body.length)}\r\nConnection: close\r\n\r\n${body}`,
        );
        return;
      }
      sockets.handleUpgrade(request, socket, head, (client) => {
        const url = new URL(request.url ?? '/', 'ws://scripted');
        this.clients.push(new ScriptedClient(client, url, request.headers.authorization));
      });
    });
  }

  /** @param server that answers plain requests as well; by default one of its own */
  static async start(server?: Server): Promise<ScriptedSocketServer> {
    const http = server ?? createServer();
    if (server === undefined) await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
    return new ScriptedSocketServer(http);
  }

  /** The next client that came. */
  async next(): Promise<ScriptedClient> {
    await until('a client', () => this.clients.length > this.#taken);
    const client = this.clients[this.#taken];
    this.#taken += 1;
    if (client === undefined) throw new Error('impossible');
    return client;
  }

  async stop(): Promise<void> {
    for (const { socket } of this.clients) socket.terminate();
    this.server.closeAllConnections();
    if (this.server.listening) await new Promise((done) => this.server.close(done));
  }
}
