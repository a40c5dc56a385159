import { WebSocket } from 'ws';
import {
  DATA_HEADER_BYTES,
  FrameType,
  LAST_FRAGMENT,
  readDataHeader,
  writeDataHeader,
} from '../../src/kernel/frame.js';
import { type TestGateway, until } from './gateway.js';

export type Message = Record<string, unknown> & { type: string };

interface Options {
  readonly credential?: string;
  readonly headers?: Record<string, string>;
  readonly binary?: boolean;
  /** The client's certificate. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A WebSocket client that keeps what it hears. */
export class WsClient {
  readonly messages: Message[] = [];
  readonly output = new Map<number, Buffer[]>();
  /** Offset of the first byte heard, by channel. */
  readonly firstOffset = new Map<number, number>();
  /** The pieces of snapshots heard. */
  readonly screens: Buffer[] = [];
  /** Whether the last piece was among them. */
  screenIsWhole = false;
  /** False for a client that only takes what comes. */
  keep = true;
  /** Bytes of output heard, kept or not. */
  received = 0;
  closed: { code: number; reason: string } | null = null;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.#receive(data, isBinary);
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    socket.on('error', () => undefined);
  }

  /** Connects. @throws Error whose `status` and `body` are the refusal's */
  static open(
    gateway: TestGateway,
    path: string,
    { credential, headers = {}, binary = false, tls = { cert: '', key: '' } }: Options = {},
  ): Promise<WsClient> {
    const socket = new WebSocket(gateway.wsUrl + path, binary ? ['gatehouse.v1'] : [], {
      headers: { ...(credential === undefined ? {} : { authorization: `Bearer ${credential}` }), ...headers },
      perMessageDeflate: false,
      ...(tls.cert === '' ? {} : tls),
    });
    const client = new WsClient(socket);
    return new Promise((resolve, reject) => {
      socket.once('open', () => {
        resolve(client);
      });
      socket.once('error', reject);
      socket.once('unexpected-response', (_request, response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => {
          reject(Object.assign(new Error('refused'), { status: response.statusCode, body, headers: response.headers }));
        });
      });
    });
  }

  send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Input as a binary frame. */
  type(text: string, offset: number, channel = 0): void {
    const bytes = Buffer.from(text);
    const frame = Buffer.alloc(DATA_HEADER_BYTES + bytes.length);
    writeDataHeader(frame, 0, { type: FrameType.input, flags: 0, channel, offset });
    bytes.copy(frame, DATA_HEADER_BYTES);
    this.socket.send(frame);
  }

  /** The first message of this type not taken before. */
  async next(type: string, ms = 20_000): Promise<Message> {
    let index = -1;
    await until(
      `message ${type}, heard ${JSON.stringify(this.messages).slice(0, 500)}`,
      () => (index = this.messages.findIndex((message) => message.type === type)) >= 0,
      ms,
    );
    const [message] = this.messages.splice(index, 1);
    if (!message) throw new Error('impossible');
    return message;
  }

  bytes(channel = 0): Buffer {
    return Buffer.concat(this.output.get(channel) ?? []);
  }

  async sees(text: string, channel = 0, ms = 20_000): Promise<void> {
    await until(`output ${JSON.stringify(text)}`, () => this.bytes(channel).includes(text), ms);
  }

  async closes(ms = 20_000): Promise<{ code: number; reason: string }> {
    await until('close', () => this.closed !== null, ms);
    return this.closed ?? { code: 0, reason: '' };
  }

  close(): void {
    this.socket.terminate();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (isBinary) {
      const { type, channel, offset, flags } = readDataHeader(data);
      const bytes = data.subarray(DATA_HEADER_BYTES);
      if (type === FrameType.snapshot) {
        this.screens.push(bytes);
        this.screenIsWhole = (flags & LAST_FRAGMENT) !== 0;
      } else this.#keep(channel, offset, bytes);
      return;
    }
    const message = JSON.parse(data.toString()) as Message;
    if (message.type === 'output')
      this.#keep(Number(message['channel']), Number(message['offset']), Buffer.from(String(message['data'])));
    else this.messages.push(message);
  }

  #keep(channel: number, offset: number, bytes: Buffer): void {
    this.received += bytes.length;
    if (!this.keep) return;
    if (!this.firstOffset.has(channel)) this.firstOffset.set(channel, offset);
    const kept = this.output.get(channel) ?? [];
    kept.push(bytes);
    this.output.set(channel, kept);
  }
}
