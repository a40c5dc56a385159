import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Log } from '../kernel/log.js';
import { logFields, within } from '../kernel/current-context.js';
import { callAt } from '../kernel/deadline.js';
import { DomainError } from '../kernel/errors.js';
import { channelOf, type Frame, recycle } from '../kernel/frame.js';
import type { RequestContext } from '../kernel/request-context.js';
import { toDomainError } from './error-mapping.js';
import { FairTurn } from './fair-turn.js';
import { type StreamLimits, StreamPace } from './stream-pace.js';
import { WsTraffic } from './traffic-metrics.js';
import { UnreadAnswers } from './unread-answers.js';
import { parseMessage, type WsMessage } from './ws-message.js';

/** Messages that may wait while one is handled; beyond it the socket is not read. */
const MAX_QUEUED_BYTES = 256 * 1024;
const MAX_QUEUED = 256;
/** How long a client that is closed for not reading, or for sending too fast, may take to read why. */
const LINGER_MS = 1000;
/** Invalid messages within a minute that end the connection. */
const MAX_INVALID = 10;
const INVALID_WINDOW_MS = 60_000;
const MAX_ID = 128;
/** Messages that are input, by all their names: of them bytes are counted. */
const INPUT = new Set(['input', 'command']);
/** Long commands of one connection that are under way at once. */
const MAX_ASIDE = 8;

export const BINARY_SUBPROTOCOL = 'gatehouse.v1';

/**
 * One WebSocket connection. Messages are handled strictly in order, one after the other, however slow a guard is:
 * keystrokes must not overtake each other.
 */
export class WsConnection {
  /** Sessions attached on this connection, by channel. */
  readonly channels = new Map<number, string>();
  readonly binary: boolean;
  /** Set by the adapter; called once, when the caller is known. */
  onAuthenticated: (() => void) | null = null;
  /** Set by the adapter; called once, when the connection is refused before its caller is known. */
  onRejected: ((error: DomainError) => void) | null = null;
  /** Set by the adapter; called when the connection ends since its client sent too fast for too long. */
  onTooFast: ((error: DomainError) => void) | null = null;
  /** Set by the gateway; called when the credential ends, and closes the connection. */
  onExpired: ((error: DomainError) => void) | null = null;
  /** Set by the gateway; resolves when the next message may be handled. */
  onBinary: ((payload: Buffer) => Promise<void> | undefined) | null = null;
  /** Set by the gateway; whether input on this channel is for a program, and not only to be refused. */
  mayType: (channel: number) => boolean = () => false;
  #onMessage: ((message: WsMessage) => Promise<void>) | null = null;
  #queue: { readonly size: number; readonly handle: () => Promise<void> | undefined }[] = [];
  #queuedBytes = 0;
  #busy = false;
  readonly #turn = new FairTurn();
  readonly #unread = new UnreadAnswers(() => {
    this.closeWith(new DomainError('ANSWERS_UNREAD', 'Too many answers wait to be read.'));
    void this.#cutOff();
  });
  #invalid: number[] = [];
  #cancelExpiry: (() => void) | undefined;
  /** `id` of the message being handled, echoed in its answer. */
  #currentId: string | number | undefined;
  /** The attachment that it is about. */
  #currentChannel: number | undefined;
  #aside = 0;
  readonly #pace: StreamPace | null;

  constructor(
    readonly socket: WebSocket,
    /** The TCP connection: finished frames are written to it as they are. */
    readonly wire: Socket,
    readonly context: RequestContext,
    /** Path and query of the upgrade. */
    readonly url: URL,
    private readonly logger: Log,
    private readonly traffic = new WsTraffic(),
    /** How fast its client may send; null: as fast as it is read. */
    limits: StreamLimits | null = null,
  ) {
    this.#pace = limits === null ? null : new StreamPace(limits, this);
    this.binary = socket.protocol === BINARY_SUBPROTOCOL;
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.#receive(data, isBinary);
    });
    wire.on('data', ({ length }: Buffer) => {
      if (this.#turn.read(length)) this.#pauseForOneTurn();
    });
    socket.on('error', (error) => {
      this.logger.debug({ err: error }, 'websocket error');
    });
    socket.once('close', () => this.#cancelExpiry?.());
    socket.once('close', () => {
      this.#unread.close();
      this.#pace?.end();
    });
  }

  /** Begins handling; what arrived before waits in the queue, which goes on when `onMessage` resolves. */
  listen(onMessage: (message: WsMessage) => Promise<void>): void {
    this.#onMessage = onMessage;
    this.#drain();
  }

  /**
   * Does something that takes long while the messages after it are handled: nobody's keystrokes wait for it. What it
   * resolves to is its answer, with the `id` of the message being handled.
   * @throws DomainError WAIT_LIMIT when too much is under way already
   */
  aside(work: () => Promise<object>): void {
    if (this.#aside >= MAX_ASIDE) throw new DomainError('WAIT_LIMIT', 'Too many of your commands are under way.');
    this.#aside += 1;
    const id = this.#currentId === undefined ? {} : { id: this.#currentId };
    const done = async (): Promise<void> => {
      try {
        this.send({ ...(await work()), ...id });
      } catch (thrown) {
        const error = this.#known(thrown);
        this.send({ ...describe(error), ...id });
      } finally {
        this.#aside -= 1;
      }
    };
    void within(this.context, done);
  }

  /** Ends the connection when the credential ends; called again when a fresh one was presented. Null: never. */
  expireAt(at: Date | null): void {
    this.#cancelExpiry?.();
    if (at === null || !this.open) return;
    this.#cancelExpiry = callAt(at, () => {
      this.onExpired?.(new DomainError('SESSION_EXPIRED', 'The credential of this connection has expired.'));
    });
  }

  /** The caller is known now. A connection that is gone by then was never authenticated. */
  authenticated(): void {
    if (!this.open) return;
    this.onRejected = null;
    this.onAuthenticated?.();
    this.onAuthenticated = null;
  }

  /** Puts work before everything that waits. */
  enqueueNext(handle: () => Promise<void>): void {
    this.#queue.unshift({ size: 0, handle });
    this.#drain();
  }

  get open(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Sends a control message. A client that does not read them is not read either. */
  send(message: object): void {
    if (!this.open) return;
    const text = JSON.stringify(message);
    this.traffic.went(message);
    this.socket.send(text, this.#unread.add(text.length));
  }

  /** Null while the client reads what it is sent, else a promise that it does again, or is gone. */
  room(): Promise<void> | null {
    return this.#unread.room();
  }

  /** Whether messages of its client wait to be handled. */
  get waiting(): boolean {
    return this.#busy || this.#queue.length > 0;
  }

  /** Tells its client that it sends too fast, or does not any more. */
  tellPace(action: 'pause' | 'resume'): void {
    this.send({ type: 'flow_control', action, reason: 'rate_limit' });
  }

  /** Sends terminal output as a message; its own flow control bounds it. */
  sendOutput(message: object): void {
    if (!this.open) return;
    this.traffic.went(message);
    this.socket.send(JSON.stringify(message));
  }

  /** The message being handled is about this channel: its error says so. */
  about(channel: number): void {
    this.#currentChannel = channel;
  }

  /** Sends the answer to the message being handled, with its `id`. */
  answer(message: object): void {
    this.send(this.#currentId === undefined ? message : { ...message, id: this.#currentId });
  }

  /** Sends a finished frame as it is, and gives its memory back. Whole frames: control messages go between them. */
  sendFrame(frame: Frame): void {
    if (!this.open) return;
    this.traffic.output.value += 1;
    this.wire.write(frame.bytes, () => {
      recycle(frame);
    });
  }

  /** Tells an error that does not end the connection, unless there were too many invalid messages. */
  sendError(error: DomainError): void {
    const code =
      error.code === 'INVALID_ARGUMENT' || error.code === 'MALFORMED_REQUEST' ? 'INVALID_MESSAGE' : error.code;
    const channel = this.#currentChannel === undefined ? {} : { channel: this.#currentChannel };
    this.answer({ ...describe(error, code), ...channel });
    if (code === 'INVALID_MESSAGE') this.#countInvalid();
  }

  /** Tells an error of the connection, not of the message being handled, and closes with its close code. */
  closeWith(error: DomainError): void {
    this.#reject(error);
    this.send(describe(error));
    this.socket.close(error.answer.close, error.code);
  }

  #reject(error: DomainError): void {
    this.onRejected?.(error);
    this.onRejected = null;
  }

  #countInvalid(): void {
    const now = Date.now();
    this.#invalid = [...this.#invalid.filter((at) => now - at < INVALID_WINDOW_MS), now];
    if (this.#invalid.length < MAX_INVALID) return;
    this.#reject(new DomainError('INVALID_MESSAGE', 'Too many messages were not valid.'));
    this.socket.close(1008, 'INVALID_MESSAGE');
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (!this.open) return;
    this.#queue.push({
      size: data.length,
      handle: () => (isBinary ? this.#onBinary(data) : this.#onText(data)),
    });
    this.#queuedBytes += data.length;
    if (this.#queue.length >= MAX_QUEUED || this.#queuedBytes >= MAX_QUEUED_BYTES) this.socket.pause();
    this.#drain();
  }

  /**
   * Handles what waits, in order. There is a promise only where something has to be waited for: a keystroke is passed on
   * in the turn that read it, and nothing is left to do after it.
   */
  #drain(): void {
    if (this.#busy || this.#onMessage === null) return;
    this.#busy = true;
    for (let next = this.#queue.shift(); next && this.open; next = this.#queue.shift()) {
      this.#queuedBytes -= next.size;
      const wait = this.#handle(next.handle);
      if (wait === null) continue;
      void wait.then(this.#goOn);
      return;
    }
    this.#busy = false;
    if (!this.open) this.#queue = [];
    if (this.socket.isPaused) void this.#resume();
  }

  readonly #goOn = (): void => {
    this.#busy = false;
    this.#drain();
  };

  /** Handles one message. @returns what the next one has to wait for, null: nothing */
  #handle(work: () => Promise<void> | undefined): Promise<void> | null {
    try {
      const handled = within(this.context, work);
      if (handled !== undefined) return this.#settle(handled);
    } catch (thrown) {
      this.refuse(thrown);
    }
    this.#currentId = undefined;
    this.#currentChannel = undefined;
    const [turn, room] = [this.#turn.spend(), this.#unread.room()];
    return turn === null && room === null ? null : settled(turn, room);
  }

  async #settle(handled: Promise<void>): Promise<void> {
    try {
      await handled;
    } catch (thrown) {
      this.refuse(thrown);
    }
    this.#currentId = undefined;
    this.#currentChannel = undefined;
    await settled(this.#turn.spend(), this.#unread.room());
  }

  /** However small its frames are: what one turn reads of one socket is bounded. */
  #pauseForOneTurn(): void {
    if (this.socket.isPaused) return;
    this.socket.pause();
    if (!this.#busy) void this.#resume();
  }

  /** Never in the turn that paused: the event loop would go on reading this socket and no other. */
  async #resume(): Promise<void> {
    await this.#turn.next();
    if (this.#queue.length === 0 && !this.#busy) this.socket.resume();
  }

  /** Tells what a handler threw; a lost or missing credential ends the connection, as going too fast does, no more does. */
  refuse(thrown: unknown): void {
    const error = this.#known(thrown);
    this.sendError(error);
    if (error.code === 'RATE_LIMIT') this.onTooFast?.(error);
    else if (error.answer.http !== 401) return;
    this.#reject(error);
    this.socket.close(error.answer.close, error.code);
    if (error.code === 'RATE_LIMIT') void this.#cutOff();
  }

  /** A client that does not read why, or goes on sending, does not keep its connection by that. */
  async #cutOff(): Promise<void> {
    await setTimeout(LINGER_MS);
    this.socket.terminate();
  }

  /** What was thrown in our terms; what was not foreseen is logged. */
  #known(thrown: unknown): DomainError {
    const error = toDomainError(thrown);
    if (error.code === 'INTERNAL_ERROR') {
      this.logger.error({ err: thrown, ...logFields(this.context) }, 'websocket message failed');
    }
    return error;
  }

  async #onText(data: Buffer): Promise<void> {
    const message = parseMessage(data);
    const { id } = message;
    if (typeof id === 'number' || (typeof id === 'string' && id.length <= MAX_ID)) this.#currentId = id;
    const wait = this.#waitFor(message, data.length);
    if (wait > 0) await setTimeout(wait);
    if (this.open) await this.#onMessage?.(message);
  }

  /** Counts a message. @returns milliseconds to wait before it is handled @throws DomainError RATE_LIMIT */
  #waitFor({ type, channel = 0 }: WsMessage, bytes: number): number {
    if (this.#pace === null) return 0;
    const isInput = INPUT.has(type) && this.mayType(channel as number);
    return this.#inTime(isInput ? this.#pace.input(bytes) : this.#pace.message(type));
  }

  /** A frame of input by its size; one for a channel on which its client may not type is a message as any other. */
  #waitForFrame(data: Buffer): number {
    if (this.#pace === null) return 0;
    const isInput = this.mayType(channelOf(data));
    return this.#inTime(isInput ? this.#pace.input(data.length) : this.#pace.message('input'));
  }

  /** @throws DomainError RATE_LIMIT for null: the client has gone on for too long */
  #inTime(wait: number | null): number {
    if (wait === null) throw new DomainError('RATE_LIMIT', 'Too many messages for too long.');
    return wait;
  }

  #onBinary(data: Buffer): Promise<void> | undefined {
    if (!this.binary)
      throw new DomainError('INVALID_MESSAGE', `Binary frames need the subprotocol ${BINARY_SUBPROTOCOL}.`);
    this.traffic.input.value += 1;
    const wait = this.#waitForFrame(data);
    return wait === 0 ? this.onBinary?.(data) : this.#binaryLater(wait, data);
  }

  async #binaryLater(wait: number, data: Buffer): Promise<void> {
    await setTimeout(wait);
    if (this.open) await this.onBinary?.(data);
  }
}

/** Resolves once both have; null is nothing to wait for. */
async function settled(turn: Promise<void> | null, room: Promise<void> | null): Promise<void> {
  if (turn !== null) await turn;
  if (room !== null) await room;
}

const describe = (error: DomainError, code: string = error.code): object => ({
  type: 'error',
  code,
  message: error.message,
  ...(error.details ? { details: error.details } : {}),
});
