import { AttachError, malformed } from './errors.js';
import { type DataFrame, readFrame, SUBPROTOCOL } from './frames.js';
import { readMessage, type ServerMessage } from './messages.js';
import { Silence } from './silence.js';
import type { ClientSocket, OpenSocket } from './socket.js';
import type { Timing } from './timing.js';

const OPEN = 1;
/** What a socket says that was cut, not closed. */
const CUT = 1006;
/** How long a server may take to answer a close. */
const CLOSE_WITHIN_MS = 2000;

export interface ConnectionListener {
  onOpen(): void;
  onMessage(message: ServerMessage): void;
  onFrame(frame: DataFrame): void;
  /** The upgrade was refused with an HTTP status. Last word. */
  onRefused(status: number, body: string): void;
  /** What came cannot be. Last word. */
  onMalformed(error: AttachError): void;
  /** It is closed, or dead. Last word. */
  onClosed(code: number, reason: string): void;
}

/** One WebSocket connection, from its opening to its last word. */
export class Connection {
  readonly #socket: ClientSocket;
  readonly #silence: Silence;
  #over = false;
  #closed = false;

  /** @throws what `openSocket` throws, such as a browser's SecurityError */
  constructor(
    address: string,
    openSocket: OpenSocket,
    private readonly timing: Timing,
    private readonly listener: ConnectionListener,
  ) {
    this.#socket = openSocket(address, [SUBPROTOCOL], {
      alive: () => {
        this.#silence.heard();
      },
      refused: (status, body) => {
        this.#finish(() => {
          listener.onRefused(status, body);
        });
      },
    });
    this.#silence = new Silence(
      timing,
      () => this.send({ type: 'ping' }),
      () => {
        this.#finish(() => {
          listener.onClosed(CUT, '');
        });
      },
    );
    this.#socket.binaryType = 'arraybuffer';
    this.#listen();
  }

  /** Sends a control message. @returns false when the connection is not open */
  send(message: object): boolean {
    return this.#write(JSON.stringify(message));
  }

  /** Sends a binary frame. @returns false when the connection is not open */
  sendFrame(frame: Uint8Array<ArrayBuffer>): boolean {
    return this.#write(frame);
  }

  /** Closes it without a last word. What was sent before still goes out. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#silence.stop();
    if (this.#socket.readyState === OPEN) this.#socket.close(1000);
    else this.#abandon();
    if (!this.#closed) this.#closeInTime();
  }

  #write(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (this.#over || this.#socket.readyState !== OPEN) return false;
    this.#socket.send(data);
    return true;
  }

  #listen(): void {
    const socket = this.#socket;
    socket.addEventListener('open', () => {
      if (!this.#over) this.#onOpen();
    });
    socket.addEventListener('message', ({ data }) => {
      if (!this.#over) this.#onData(data);
    });
    // The close that follows an error says all that can be known.
    socket.addEventListener('error', () => undefined);
    socket.addEventListener('close', ({ code, reason }) => {
      this.#closed = true;
      if (this.#over) return;
      this.#finish(() => {
        this.listener.onClosed(code, reason);
      });
    });
  }

  #onOpen(): void {
    this.#silence.heard();
    if (this.#socket.protocol === SUBPROTOCOL) this.listener.onOpen();
    else this.#malformed(malformed(`it does not offer ${SUBPROTOCOL}`));
  }

  #onData(data: unknown): void {
    this.#silence.heard();
    let message: ServerMessage | DataFrame | null;
    try {
      message = readAny(data);
    } catch (error) {
      if (!(error instanceof AttachError)) throw error;
      this.#malformed(error);
      return;
    }
    if (message === null) return;
    if ('kind' in message) this.listener.onFrame(message);
    else this.listener.onMessage(message);
  }

  #malformed(error: AttachError): void {
    this.#finish(() => {
      this.listener.onMalformed(error);
    });
  }

  #finish(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#silence.stop();
    if (!this.#closed) this.#abandon();
    tell();
  }

  /** A dead server does not answer a close either, and a page's socket can be closed in no other way. */
  #abandon(): void {
    if (this.#socket.terminate) this.#socket.terminate();
    else this.#socket.close();
  }

  #closeInTime(): void {
    if (!this.#socket.terminate) return;
    const cancel = this.timing.after(CLOSE_WITHIN_MS, () => this.#socket.terminate?.());
    this.#socket.addEventListener('close', cancel);
  }
}

/** @throws AttachError malformed */
function readAny(data: unknown): ServerMessage | DataFrame | null {
  if (typeof data === 'string') return readMessage(data);
  if (data instanceof ArrayBuffer) return readFrame(data);
  throw malformed('a message is neither text nor bytes');
}
