/** The gateway's side of the byte link, small. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import {
  type DataHeader,
  encodeControlFrame,
  encodeDataFrame,
  FrameReader,
  FrameType,
  LAST_FRAGMENT,
  payloadOf,
  readDataHeader,
} from '../../src/kernel/frame.js';
import { type LinkAttach, type LinkRequest, type LinkResponse, MAX_LINK_FRAME } from '../../src/kernel/link.js';
import { until } from './until.js';

type Of<Type extends LinkResponse['type']> = Extract<LinkResponse, { type: Type }>;

export class LinkClient {
  readonly messages: LinkResponse[] = [];
  /** Where the next output is expected; a gap or an overlap fails. */
  next: number | undefined;
  bytes = 0;
  closed = false;
  /** Output that came after the end was told. */
  late = 0;
  keep = true;
  acknowledge = false;
  onHeader: (header: DataHeader) => void = () => undefined;
  readonly #hash = createHash('sha256');
  #kept: Buffer[] = [];
  readonly #screen: Buffer[] = [];
  /** The last piece of a snapshot was heard. */
  screenEnded = false;
  #inputNext = 0;
  error: Error | undefined;

  private constructor(readonly socket: Socket) {
    const reader = new FrameReader(MAX_LINK_FRAME);
    socket.on('data', (chunk) => {
      reader.push(chunk, (frame) => {
        if (frame.kind === 'control') this.#onMessage(JSON.parse(payloadOf(frame).toString()) as LinkResponse);
        else this.#onData(payloadOf(frame));
      });
    });
    socket.on('close', () => (this.closed = true));
    socket.on('error', (error) => (this.error = error));
  }

  static connect(path: string): Promise<LinkClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        resolve(new LinkClient(socket));
      });
    });
  }

  /** Speaks over a connection that is there. */
  static over(socket: Socket): LinkClient {
    return new LinkClient(socket);
  }

  get text(): string {
    return this.output.toString();
  }

  get output(): Buffer {
    return Buffer.concat(this.#kept);
  }

  /** The snapshot that came before the output. */
  get screen(): Buffer {
    return Buffer.concat(this.#screen);
  }

  get sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  send(message: LinkRequest): void {
    this.socket.write(encodeControlFrame(message));
  }

  /** Attaches and waits for the answer. */
  async attach(session: string, rest: Partial<LinkAttach> = {}): Promise<Of<'attached'>> {
    this.send({ type: 'attach', session, channel: 0, may_control: true, user: 'ada', ...rest });
    const answer = await this.message('attached');
    this.#inputNext = answer.input_next;
    return answer;
  }

  /** Types text at the position that follows the last. */
  type(text: string): void {
    const data = Buffer.from(text);
    this.typeAt(this.#inputNext, data);
    this.#inputNext += data.length;
  }

  typeAt(offset: number, data: Uint8Array): void {
    this.socket.write(encodeDataFrame({ type: FrameType.input, flags: 0, channel: 0, offset }, data));
  }

  /** Waits for a message of a kind. */
  async message<Type extends LinkResponse['type']>(type: Type): Promise<Of<Type>> {
    const find = (): LinkResponse | undefined => this.messages.find((message) => message.type === type);
    await until(() => find() !== undefined || this.closed, `${type} arrives`);
    const found = find();
    if (!found) throw new Error(`closed before ${type}: ${JSON.stringify(this.messages)}`);
    return found as Of<Type>;
  }

  /** Waits until the output contains a text. */
  async shows(text: string): Promise<void> {
    let searched = 0; // long outputs are not searched again from their beginning
    await until(() => {
      const from = Math.max(0, searched - text.length);
      searched = this.#kept.length;
      return this.#kept.length > from && Buffer.concat(this.#kept.slice(from)).includes(text);
    }, `the output shows ${text}`);
  }

  async end(): Promise<void> {
    await until(() => this.closed, 'the connection ends');
  }

  close(): void {
    this.socket.destroy();
  }

  #onMessage(message: LinkResponse): void {
    if (message.type === 'attached') this.next = message.from;
    this.messages.push(message);
  }

  #onData(payload: Buffer): void {
    const header = readDataHeader(payload);
    this.onHeader(header);
    if (header.type === FrameType.snapshot && header.offset === this.next && this.bytes === 0) {
      this.#screen.push(Buffer.from(payload.subarray(16)));
      this.screenEnded = (header.flags & LAST_FRAGMENT) !== 0;
      return;
    }
    if (header.type !== FrameType.output || header.offset !== this.next) {
      throw new Error(`output at ${String(header.offset)}, expected at ${String(this.next)}`);
    }
    const data = payload.subarray(16);
    if (this.messages.some(({ type }) => type === 'process_exited')) this.late += data.length;
    this.next += data.length;
    this.bytes += data.length;
    this.#hash.update(data);
    if (this.keep) this.#kept.push(Buffer.from(data));
    if (this.acknowledge) this.send({ type: 'ack', offset: this.next });
  }
}
