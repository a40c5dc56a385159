import { createHash } from 'node:crypto';
import { type ServiceError, status } from '@grpc/grpc-js';
import { WebSocket } from 'ws';
import type { AttachResponse__Output } from '../../src/generated/gatehouse/pty/v1/AttachResponse.js';
import { DATA_HEADER_BYTES, FrameType, readDataHeader } from '../../src/kernel/frame.js';
import { pause, type TestGateway } from './gateway.js';
import { type AttachStream, GrpcClient, reasonOf } from './grpc-client.js';

/** What is acknowledged at once, so that flow control counts what was really taken. */
const ACK_EVERY = 128 * 1024;
const RETRY_MS = 50;

/** One connection of a client, as long as it lasts. */
interface Connection {
  /** Resolves when it is over, with the code that says why, null where nothing but the network did. */
  readonly over: Promise<string | null>;
  send(text: string): void;
  acknowledge(offset: number): void;
  close(): void;
}

/** Told what a connection brings. */
interface Receiver {
  readonly next: number;
  output(offset: number, bytes: Buffer): void;
  attached(mode: string): void;
  exited(exitCode: number | null): void;
}

/**
 * A client that does what a good one does: it counts the bytes it has got, and when its connection ends it attaches again
 * with the next offset it wants, to whichever gateway lets it. It keeps a hash, and the first thing that was wrong.
 */
export class ResumingClient implements Receiver {
  next = 0;
  attachments = 0;
  mode: string | undefined;
  exitCode: number | null | undefined;
  /** Codes of refusals and ends, in their order. */
  readonly refusals: string[] = [];
  problem: string | undefined;
  readonly #hash = createHash('sha256');
  #acknowledged = 0;
  #connection: Connection | undefined;
  #stopped = false;

  /**
   * @param gateways in the order in which they are tried, one after the other
   * @param transport by which it attaches
   */
  constructor(
    private readonly gateways: readonly TestGateway[],
    readonly session: string,
    private readonly credential: string,
    readonly transport: 'websocket' | 'grpc' = 'websocket',
  ) {
    void this.#run();
  }

  get sha256(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Types, on the connection that is open. */
  type(text: string): void {
    this.#connection?.send(text);
  }

  close(): void {
    this.#stopped = true;
    this.#connection?.close();
  }

  output(offset: number, bytes: Buffer): void {
    if (offset !== this.next) this.problem ??= `bytes at ${String(offset)}, expected at ${String(this.next)}`;
    if (this.exitCode !== undefined) this.problem ??= 'output after the end';
    this.next = offset + bytes.length;
    this.#hash.update(bytes);
    if (this.next - this.#acknowledged < ACK_EVERY) return;
    this.#acknowledged = this.next;
    this.#connection?.acknowledge(this.next);
  }

  attached(mode: string): void {
    this.attachments += 1;
    this.mode = mode;
  }

  exited(exitCode: number | null): void {
    if (this.exitCode !== undefined) this.problem ??= 'the end was told twice';
    this.exitCode = exitCode;
  }

  #over(): boolean {
    return this.#stopped || this.exitCode !== undefined;
  }

  async #run(): Promise<void> {
    const open = this.transport === 'grpc' ? openStream : openSocket;
    for (let turn = 0; !this.#over(); turn += 1) {
      const gateway = this.gateways[turn % this.gateways.length];
      if (!gateway) throw new Error('no gateway');
      this.mode = undefined;
      this.#connection = open(gateway, this.credential, this.session, this);
      const code = await this.#connection.over;
      this.#connection.close();
      if (code !== null && !this.#over()) this.refusals.push(code);
      await pause(RETRY_MS);
    }
  }
}

function openSocket(gateway: TestGateway, credential: string, session: string, receiver: Receiver): Connection {
  const query = `id=${session}&mode=controller&from=${String(receiver.next)}`;
  const socket = new WebSocket(`${gateway.wsUrl}/ws/pty?${query}`, ['gatehouse.v1'], {
    headers: { authorization: `Bearer ${credential}` },
    perMessageDeflate: false,
  });
  const send = (message: object): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const over = new Promise<string | null>((resolve) => {
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) {
        const { type, offset } = readDataHeader(data);
        if (type === FrameType.output) receiver.output(offset, data.subarray(DATA_HEADER_BYTES));
        return;
      }
      const message = JSON.parse(data.toString()) as Record<string, unknown>;
      if (message['type'] === 'attached') receiver.attached(String(message['mode']));
      if (message['type'] === 'process_exited') receiver.exited(message['exit_code'] as number | null);
    });
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => {
        resolve(/"code":"(\w+)"/.exec(body)?.[1] ?? String(response.statusCode));
      });
    });
    // 1006: cut off, as by a gateway that is killed. 1001 is told with `goaway`.
    socket.on('close', (code, reason) => {
      resolve(code === 1006 ? null : code === 1001 ? 'GOING_AWAY' : `${String(code)} ${reason.toString()}`);
    });
    socket.on('error', () => {
      resolve(null);
    });
  });
  return {
    over,
    send: (data) => {
      send({ type: 'input', data });
    },
    acknowledge: (offset) => {
      send({ type: 'ack', offset });
    },
    close: () => {
      socket.on('error', () => undefined).terminate();
    },
  };
}

function openStream(gateway: TestGateway, credential: string, session: string, receiver: Receiver): Connection {
  const client = new GrpcClient(gateway, credential);
  const stream: AttachStream = client.attach();
  const over = new Promise<string | null>((resolve) => {
    stream.on('data', ({ output, attached, process_exited: exited }: AttachResponse__Output) => {
      if (output) receiver.output(output.offset ?? 0, output.data ?? Buffer.alloc(0));
      if (attached) receiver.attached(String(attached.mode) === 'ATTACH_MODE_CONTROLLER' ? 'controller' : 'viewer');
      if (exited) receiver.exited(exited.exit_code ?? null);
    });
    stream.on('end', () => {
      resolve(null);
    });
    stream.on('error', (error: ServiceError) => {
      const reason = reasonOf(error);
      // Without details it is the library's own word: the connection was refused, or the stream was cut.
      const isCut = error.code === status.UNAVAILABLE || /RST_STREAM|cancelled/i.test(error.message);
      if (reason !== 'no details') resolve(reason);
      else resolve(isCut ? null : error.message);
    });
  });
  stream.write({ attach: { session, from: receiver.next, mode: 'ATTACH_MODE_CONTROLLER' } });
  return {
    over,
    send: (text) => stream.write({ input: { data: Buffer.from(text) } }),
    acknowledge: (offset) => stream.write({ ack: { offset } }),
    close: () => {
      stream.on('error', () => undefined).cancel();
      client.close();
    },
  };
}
