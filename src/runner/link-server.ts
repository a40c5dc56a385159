import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { DomainError } from '../kernel/errors.js';
import { encodeControlFrame, type Frame, FrameReader, payloadOf } from '../kernel/frame.js';
import { type LinkAttach, type LinkResponse, MAX_LINK_FRAME } from '../kernel/link.js';
import { type Attachment, endSocket } from './attachment.js';
import { parseLinkRequest } from './link-messages.js';
import type { Registry } from './registry.js';

const FIRST_MESSAGE_MS = 10_000;

/** Serves the byte stream between a gateway and a session (kernel/link.ts): one connection for each attachment. */
export function acceptLink(socket: Socket, registry: Registry, log: Logger): void {
  new LinkConnection(socket, registry, log);
}

class LinkConnection {
  readonly #reader = new FrameReader(MAX_LINK_FRAME);
  readonly #firstMessage: NodeJS.Timeout;
  #attachment: Attachment | undefined;
  #attaching = false;
  #refused = false;

  constructor(
    private readonly socket: Socket,
    private readonly registry: Registry,
    private readonly log: Logger,
  ) {
    this.#firstMessage = setTimeout(() => socket.destroy(), FIRST_MESSAGE_MS);
    socket.on('data', this.#onData);
    // The gateway went away: 'close' follows, and the attachment leaves.
    socket.on('error', (error) => {
      log.debug({ err: error }, 'link connection failed');
    });
    socket.on('close', () => {
      clearTimeout(this.#firstMessage);
    });
  }

  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#reader.push(chunk, this.#onFrame);
    } catch (error) {
      this.log.warn({ err: error }, 'link connection broken off');
      this.socket.destroy();
    }
  };

  readonly #onFrame = (frame: Frame): void => {
    if (this.#refused || this.socket.destroyed) return;
    if (this.#attachment) this.#attachment.receive(frame);
    else if (this.#attaching) throw new RangeError('a frame before the answer to attach');
    else void this.#attach(attachRequest(frame));
  };

  async #attach(request: LinkAttach): Promise<void> {
    this.#attaching = true;
    clearTimeout(this.#firstMessage);
    try {
      this.#attachment = await this.registry.get(request.session).attachments.attach(request, this.socket);
    } catch (error) {
      const { code, message } = error instanceof DomainError ? error : new DomainError('INTERNAL_ERROR', 'It failed.');
      if (code === 'INTERNAL_ERROR') this.log.error({ err: error }, 'attach failed');
      this.#refuse({ type: 'refused', code, message });
    }
  }

  #refuse(answer: LinkResponse): void {
    this.#refused = true;
    this.socket.write(encodeControlFrame(answer));
    endSocket(this.socket);
  }
}

function attachRequest(frame: Frame): LinkAttach {
  if (frame.kind !== 'control') throw new RangeError('data before attach');
  const request = parseLinkRequest(payloadOf(frame));
  if (request.type !== 'attach') throw new RangeError('first message is not attach');
  return request;
}
