import type { Socket } from 'node:net';
import { DomainError, type ErrorCode } from '../kernel/errors.js';
import {
  DATA_HEADER_BYTES,
  DATA_HEADROOM,
  encodeControlFrame,
  encodeDataFrame,
  finishDataFrame,
  type Frame,
  FrameType,
  LAST_FRAGMENT,
  payloadOf,
  readDataHeader,
} from '../kernel/frame.js';
import {
  type AttachMode,
  type LinkRequest,
  type LinkResponse,
  type ProcessExited,
  UNSEQUENCED,
} from '../kernel/link.js';
import { parseLinkRequest } from './link-messages.js';
import type { Ring } from './ring.js';

/** Clients attached to one session at a time. */
export const MAX_ATTACHMENTS = 256;
/** After output that follows quiet, more is collected for this long, or until there is this much. */
const WINDOW_MS = 4;
const FRAME_BYTES = 108 * 1024;
/** Up to here a frame gets memory of its own size; a longer one is built in the shared slab. */
const SMALL_BYTES = 8 * 1024;
/** Answers that may wait for a client that does not read; then nothing more is read of it. */
const MAX_UNREAD_BYTES = 256 * 1024;
/** Output that a viewer may have and not have rendered, once it says what it has. */
const WINDOW_BYTES = 1024 * 1024;
/** A connection that is over is cut off when the other side has read nothing of what was sent for so long. */
const LINGER_MS = 30_000;
/** A writer learns that its input was applied within this time, or after so many bytes. */
const INPUT_ACK_MS = 100;
const INPUT_ACK_BYTES = 32 * 1024;

/** A frame is built here, and the slab is given away with it only when the socket does not take it at once. */
let slab = Buffer.allocUnsafeSlow(DATA_HEADROOM + FRAME_BYTES);

/** What an attachment needs of its session. */
export interface AttachmentHost {
  readonly ring: Ring;
  /** How the session ended, undefined while it lives. */
  readonly exit: ProcessExited | undefined;
  /** Types bytes; without an offset they follow on what came before. */
  input(attachment: Attachment, offset: number | undefined, data: Buffer): void;
  /** Position of the next byte wanted from a writer. */
  inputNext(writer: string): number;
  resizeFrom(attachment: Attachment, cols: number, rows: number): void;
  takeControl(attachment: Attachment): void;
  /** It may be controller from now on, or may not any more. */
  permit(attachment: Attachment, mayControl: boolean): void;
  /** It sent or acknowledged more. */
  progressed(attachment: Attachment): void;
  detach(attachment: Attachment): void;
}

export interface AttachmentOptions {
  readonly channel: number;
  /** Whether it may be controller at first. */
  readonly mayControl: boolean;
  /** Who counts its input, so that what is sent again is typed once; undefined: nobody does. */
  readonly writer: string | undefined;
  readonly from: number;
  /** Names it within the session, to its clients. */
  readonly number: number;
  /** Whose it is, as the gateway says; means nothing here. */
  readonly user: string;
  /** The size of the client's own terminal, where it said one. */
  readonly cols: number | null;
  readonly rows: number | null;
}

/** One client of a session: its own place in the output, on a connection of its own. */
export class Attachment {
  mode: AttachMode = 'viewer';
  mayControl: boolean;
  cols: number | null;
  rows: number | null;
  /** Offset of the next byte to send. */
  #cursor: number;
  #acked: number | undefined;
  /** What is left to send of a screen. */
  #screen: Uint8Array = new Uint8Array();
  /** The latest of each kind that the client is still to be told. */
  readonly #news = new Map<string, LinkResponse>();
  #blocked = false;
  #closed = false;
  #lastFlush = 0;
  #window: NodeJS.Timeout | undefined;
  #inputAcked = 0;
  #inputAck: NodeJS.Timeout | undefined;

  constructor(
    private readonly host: AttachmentHost,
    private readonly socket: Socket,
    readonly options: AttachmentOptions,
  ) {
    this.#cursor = options.from;
    this.mayControl = options.mayControl;
    this.cols = options.cols;
    this.rows = options.rows;
    socket.on('close', () => {
      this.#leave();
    });
  }

  get cursor(): number {
    return this.#cursor;
  }

  /** How far it is behind: unsent, and once it has begun to acknowledge, unacknowledged too. */
  get lag(): number {
    return this.host.ring.end - (this.#acked ?? this.#cursor);
  }

  /** Sends a control message. */
  send(message: LinkResponse): void {
    if (!this.#closed) this.socket.write(encodeControlFrame(message));
  }

  /**
   * Sends what only the latest of its kind matters of. A client that does not read is told when it has read what waits:
   * others make such news as fast as they like.
   */
  sendLatest(message: LinkResponse): void {
    if (this.socket.writableLength <= MAX_UNREAD_BYTES) {
      this.send(message);
      return;
    }
    if (this.#news.size === 0) this.socket.once('drain', this.#onDrain);
    this.#news.set(message.type, message);
  }

  /** The screen for which its output begins at its cursor is to be sent before any of it. */
  sendSnapshot(screen: Uint8Array): void {
    this.#screen = screen;
  }

  /** The client's own terminal has another size. */
  resized(cols: number, rows: number): void {
    this.cols = cols;
    this.rows = rows;
  }

  /** Handles one frame from the gateway. Throws RangeError when it is malformed. */
  receive(frame: Frame): void {
    if (this.#closed) return;
    try {
      if (frame.kind === 'data') this.#receiveInput(payloadOf(frame));
      else this.#receiveRequest(parseLinkRequest(payloadOf(frame)));
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      this.#refuse(frame, error);
    }
    this.#holdUnread();
  }

  #holdUnread(): void {
    const { socket } = this;
    if (socket.writableLength <= MAX_UNREAD_BYTES || socket.isPaused()) return;
    socket.pause();
    socket.once('drain', () => socket.resume());
  }

  /** There is new output. @param now of `performance.now()` */
  notify(now: number): void {
    if (this.#blocked || this.#closed) return;
    const quiet = now - this.#lastFlush >= WINDOW_MS;
    if (quiet || this.host.ring.end - this.#cursor >= FRAME_BYTES) this.flush();
    else this.#window ??= setTimeout(this.#onWindow, WINDOW_MS);
  }

  /** The next output answers input: it must not wait for the window. */
  expedite(): void {
    this.#lastFlush = 0;
  }

  /** Sends all that the socket takes; after the last output of an ended session, its end. */
  flush(): void {
    if (this.#closed) return;
    const { ring } = this.host;
    while (!this.#blocked && this.#screen.length > 0) this.#sendScreen();
    while (!this.#blocked && this.#room > 0 && this.#cursor < ring.end) {
      this.#sendFrame(Math.min(ring.end - this.#cursor, FRAME_BYTES, this.#room));
    }
    this.#lastFlush = performance.now();
    this.host.progressed(this);
    if (this.host.exit && this.#cursor === ring.end && this.#screen.length === 0) this.#finish(this.host.exit);
  }

  /** Ends the attachment; the client may come back for `offset`. */
  detach(code: ErrorCode): void {
    this.#finish({ type: 'detached', code, offset: this.#cursor });
  }

  #receiveInput(payload: Buffer): void {
    const header = readDataHeader(payload);
    if (header.type !== FrameType.input) throw new RangeError('data on the link is not input');
    const offset = header.flags === UNSEQUENCED ? undefined : header.offset;
    this.host.input(this, offset, payload.subarray(DATA_HEADER_BYTES));
    this.#acknowledgeInput();
  }

  /** A named writer learns what it need not keep any more; one message for many keystrokes. */
  #acknowledgeInput(): void {
    const { writer } = this.options;
    if (writer === undefined) return;
    if (this.host.inputNext(writer) - this.#inputAcked >= INPUT_ACK_BYTES) this.#sendInputAck(writer);
    else
      this.#inputAck ??= setTimeout(() => {
        this.#sendInputAck(writer);
      }, INPUT_ACK_MS);
  }

  #sendInputAck(writer: string): void {
    clearTimeout(this.#inputAck);
    this.#inputAck = undefined;
    this.#inputAcked = this.host.inputNext(writer);
    this.send({ type: 'input_ack', input_next: this.#inputAcked });
  }

  /** The frame was not applied, the attachment goes on; a writer hears from where to send again. */
  #refuse(frame: Frame, { code, message }: DomainError): void {
    const { writer } = this.options;
    const again = frame.kind === 'data' && writer !== undefined ? { input_next: this.host.inputNext(writer) } : {};
    this.send({ type: 'error', code, message, ...again });
  }

  #receiveRequest(request: LinkRequest): void {
    switch (request.type) {
      case 'attach':
        throw new RangeError('attached already');
      case 'resize':
        this.host.resizeFrom(this, request.cols, request.rows);
        return;
      case 'take_control':
        this.host.takeControl(this);
        return;
      case 'permit':
        this.host.permit(this, request.may_control);
        return;
      case 'ack':
        // What was not sent cannot have been rendered, and an old acknowledgement says nothing new.
        this.#acked = Math.max(this.#acked ?? this.options.from, Math.min(request.offset, this.#cursor));
        this.host.progressed(this);
        if (!this.#blocked && this.#cursor < this.host.ring.end) this.notify(performance.now());
    }
  }

  /** How much more may be sent: a viewer that acknowledges is not given more than it can take in; the ring rolls on. */
  get #room(): number {
    if (this.mode === 'controller' || this.#acked === undefined) return Infinity;
    return WINDOW_BYTES - (this.#cursor - this.#acked);
  }

  /** The next piece of the screen; no copy of it waits for a client that is slow to take it. */
  #sendScreen(): void {
    const part = this.#screen.subarray(0, FRAME_BYTES);
    this.#screen = this.#screen.subarray(part.length);
    const flags = this.#screen.length === 0 ? LAST_FRAGMENT : 0;
    const header = { type: FrameType.snapshot, flags, channel: this.options.channel, offset: this.#cursor };
    this.socket.write(encodeDataFrame(header, part), this.#onWritten);
    this.#blocked = this.socket.writableLength > 0;
  }

  #sendFrame(length: number): void {
    const small = length <= SMALL_BYTES;
    const target = small ? Buffer.allocUnsafe(DATA_HEADROOM + length) : slab;
    this.host.ring.copyTo(target, DATA_HEADROOM, this.#cursor, length);
    const header = { type: FrameType.output, flags: 0, channel: this.options.channel, offset: this.#cursor };
    this.socket.write(finishDataFrame(target, length, header), this.#onWritten);
    this.#cursor += length;
    // What the kernel did not take at once still lies in the buffer: wait, so that at most one frame does.
    this.#blocked = this.socket.writableLength > 0;
    if (this.#blocked && !small) slab = Buffer.allocUnsafeSlow(DATA_HEADROOM + FRAME_BYTES);
  }

  /** 'drain' would not do: it only comes when the frame was longer than the stream's high-water mark. */
  readonly #onWritten = (): void => {
    if (!this.#blocked || this.socket.writableLength > 0) return;
    this.#blocked = false;
    this.flush();
  };

  readonly #onDrain = (): void => {
    const news = [...this.#news.values()];
    this.#news.clear();
    for (const message of news) this.send(message);
  };

  readonly #onWindow = (): void => {
    this.#window = undefined;
    if (!this.#blocked && this.#cursor < this.host.ring.end) this.notify(performance.now());
  };

  /** Says the last word and closes. */
  #finish(message: LinkResponse): void {
    if (this.#closed) return;
    this.send(message);
    this.#leave();
    endSocket(this.socket);
  }

  #leave(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#window);
    clearTimeout(this.#inputAck);
    this.host.detach(this);
  }
}

/** Closes a connection, by force when the other side stops reading what was sent. */
export function endSocket(socket: Socket): void {
  socket.end();
  // Counts from the last progress, so that a slow client still gets all of it.
  socket.setTimeout(LINGER_MS, () => socket.destroy());
}
