import type { Socket } from 'node:net';
import { DomainError } from '../kernel/errors.js';
import { encodeControlFrame, encodeDataFrame, type Frame, FrameReader, FrameType, payloadOf } from '../kernel/frame.js';
import {
  type LinkAttach,
  type LinkAttached,
  type LinkRequest,
  type LinkResponse,
  MAX_LINK_FRAME,
  UNSEQUENCED,
} from '../kernel/link.js';
import type { RunnerEndpoint } from './runner-endpoint.js';

const CONNECT_MS = 5000;

/** What arrives on a link, in order. */
export interface LinkListener {
  /** A data frame, ready for a `gatehouse.v1` client. Whoever has done with it gives its memory back: `recycle`. */
  onData(frame: Frame): void;
  onControl(message: Exclude<LinkResponse, LinkAttached | { type: 'refused' }>): void;
  /** The link is gone; nothing follows. */
  onClose(): void;
}

/** One attachment's byte stream to the runner. Backpressure is the socket's own. */
export class ByteLink {
  #listener: LinkListener | null = null;
  /** Frames that came in one read with the answer, before there was a listener; bounded by that read. */
  #early: Frame[] = [];
  #paused = false;
  #closed = false;

  private constructor(
    private readonly socket: Socket,
    readonly attached: LinkAttached,
  ) {}

  /**
   * Connects and attaches.
   * @returns a link that stays silent until {@link listen}
   * @throws DomainError the runner's refusal, or RUNNER_UNAVAILABLE
   */
  static open(endpoint: RunnerEndpoint, attach: LinkAttach): Promise<ByteLink> {
    return new Promise((resolve, reject) => {
      const socket = endpoint.connect((chunk) => {
        receive(chunk);
      });
      const reader = new FrameReader(MAX_LINK_FRAME);
      let link: ByteLink | null = null;
      const fail = (error: DomainError): void => {
        socket.destroy();
        reject(error);
      };
      const timer = setTimeout(() => {
        fail(unavailable());
      }, CONNECT_MS);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearTimeout(timer);
        if (link) link.#onClose();
        else fail(unavailable());
      });
      const receive = (chunk: Buffer): void => {
        try {
          reader.push(chunk, (frame) => {
            if (link) {
              link.#onFrame(frame);
              return;
            }
            clearTimeout(timer);
            const answer = controlOf(frame);
            if (answer.type !== 'attached') {
              fail(refusal(answer));
              return;
            }
            link = new ByteLink(socket, answer);
            socket.pause();
            resolve(link);
          });
        } catch {
          // A broken stream cannot be resynchronised: the client resumes by offset on a new one.
          socket.destroy();
        }
      };
      socket.write(encodeControlFrame(attach));
    });
  }

  /** Begins delivery. What came with the answer is delivered at once, and may be reason enough to {@link pause}. */
  listen(listener: LinkListener): void {
    this.#listener = listener;
    const early = this.#early;
    this.#early = [];
    for (const frame of early) this.#deliver(frame, listener);
    if (this.#closed) listener.onClose();
    else if (!this.#paused) this.socket.resume();
  }

  /** Sends a request. @returns false when the link is full until {@link drained} */
  send(message: LinkRequest): boolean {
    return this.socket.write(encodeControlFrame(message));
  }

  /** Sends input at its position, null: after what came before; false when the link is full until {@link drained}. */
  input(offset: number | null, bytes: Uint8Array): boolean {
    const position = offset === null ? { flags: UNSEQUENCED, offset: 0 } : { flags: 0, offset };
    return this.socket.write(encodeDataFrame({ type: FrameType.input, channel: 0, ...position }, bytes));
  }

  /** Resolves when the link takes input again, or is gone. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed || !this.socket.writableNeedDrain) {
        resolve();
        return;
      }
      const done = (): void => {
        this.socket.off('drain', done).off('close', done);
        resolve();
      };
      this.socket.on('drain', done).on('close', done);
    });
  }

  /** Stops delivery, but for what was read already, until {@link resume}. */
  pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.socket.resume();
  }

  close(): void {
    this.socket.destroy();
  }

  #onFrame(frame: Frame): void {
    if (this.#listener) this.#deliver(frame, this.#listener);
    else this.#early.push(frame);
  }

  #deliver(frame: Frame, listener: LinkListener): void {
    if (frame.kind === 'data') {
      listener.onData(frame);
      return;
    }
    const message = controlOf(frame);
    if (message.type !== 'attached' && message.type !== 'refused') listener.onControl(message);
  }

  #onClose(): void {
    this.#closed = true;
    this.#listener?.onClose();
  }
}

/** The runner is our own process: its messages are typed by kernel/link.ts. */
function controlOf(frame: Frame): LinkResponse {
  if (frame.kind !== 'control') throw new RangeError('data before the answer to attach');
  return JSON.parse(payloadOf(frame).toString('utf8')) as LinkResponse;
}

const refusal = (answer: LinkResponse): DomainError =>
  answer.type === 'refused' ? new DomainError(answer.code, answer.message) : unavailable();

const unavailable = (): DomainError => new DomainError('RUNNER_UNAVAILABLE', 'The runner cannot be reached.');
