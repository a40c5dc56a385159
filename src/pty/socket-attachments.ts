import { DomainError } from '../kernel/errors.js';
import { DATA_HEADER_BYTES, type DataHeader, FrameType, readDataHeader } from '../kernel/frame.js';
import type { CallerContext } from '../kernel/request-context.js';
import { toDomainError } from '../transport/error-mapping.js';
import { parse } from '../transport/validation.js';
import type { WsConnection } from '../transport/ws-connection.js';
import type { Attachment } from './attachment.js';
import { deliverTo } from './attachment-output.js';
import type { AttachmentsService } from './attachments.service.js';
import { type AttachCommand, attachByAddressSchema, MAX_INPUT_BYTES } from './pty.schema.js';

/** Sessions that may be attached on one socket. */
export const MAX_CHANNELS = 64;
/** The path whose address says what to attach to, on channel 0. */
const ONE_SESSION_PATH = '/ws/pty';

/** The attachments of one WebSocket connection, by channel. */
export class SocketAttachments {
  readonly #open = new Map<number, Attachment>();

  constructor(
    private readonly connection: WsConnection,
    private readonly attachments: AttachmentsService,
  ) {
    connection.socket.once('close', () => {
      for (const attachment of this.#open.values()) attachment.close();
    });
  }

  /** Does the address of this socket say what to attach to? */
  get byAddress(): boolean {
    return this.connection.url.pathname === ONE_SESSION_PATH;
  }

  /** Attaches, answers `attached`, and begins delivery. @throws DomainError ATTACHMENT_LIMIT and those of `open` */
  async attach(caller: CallerContext, command: AttachCommand): Promise<void> {
    const channel = this.#freeChannel();
    const attachment = await this.attachments.open(caller, command, channel);
    if (!this.connection.open) {
      attachment.close();
      return;
    }
    this.#open.set(channel, attachment);
    this.connection.channels.set(channel, command.session);
    this.connection.answer({ ...attachment.attached, channel });
    deliverTo(this.connection, channel, attachment, (close, reason) => {
      this.#ended(channel, attachment, close, reason);
    });
  }

  /** Attaches to what the address names; a refusal ends the connection, which is for nothing else. */
  async attachByAddress(caller: CallerContext): Promise<void> {
    try {
      const { id, ...rest } = parse(attachByAddressSchema, Object.fromEntries(this.connection.url.searchParams));
      await this.attach(caller, { session: id, ...rest });
    } catch (thrown) {
      this.connection.closeWith(toDomainError(thrown));
    }
  }

  /** Input as a binary frame. @returns a promise when the link is full */
  binaryInput(payload: Buffer): Promise<void> | undefined {
    if (this.connection.context.principal === null)
      throw new DomainError('AUTH_TOKEN_MISSING', 'A credential is needed.');
    const { channel, offset } = inputHeader(payload);
    this.connection.about(channel);
    const attachment = this.on(channel);
    return attachment.input(payload.subarray(DATA_HEADER_BYTES), offset) ? undefined : attachment.drained();
  }

  /** Whether input on this channel is for a program. */
  mayType(channel: number): boolean {
    return this.#open.get(channel)?.mayType === true;
  }

  /** @throws DomainError NOT_ATTACHED */
  on(channel: number): Attachment {
    const attachment = this.#open.get(channel);
    if (!attachment) throw new DomainError('NOT_ATTACHED', 'Nothing is attached on this channel.');
    return attachment;
  }

  /** Takes back what the caller of this connection, as it is now, is not permitted any more. */
  recheck(): void {
    for (const [channel, attachment] of this.#open) void this.#recheck(channel, attachment);
  }

  async #recheck(channel: number, attachment: Attachment): Promise<void> {
    if (await this.attachments.recheck(attachment)) return;
    const refusal = new DomainError('PERMISSION_DENIED', '');
    this.connection.send({ type: 'detached', channel, code: refusal.code, offset: null });
    this.#ended(channel, attachment, refusal.answer.close, refusal.code);
  }

  /** Detaches on the client's wish, and says so before the connection of a single session closes. */
  detach(channel: number): void {
    const attachment = this.on(channel);
    attachment.close();
    this.connection.answer({ type: 'detached', channel, code: null, offset: null });
    this.#ended(channel, attachment, 1000, 'detached');
  }

  #ended(channel: number, attachment: Attachment, close: number, reason: string): void {
    // The channel may be another attachment's by now: the link of a detached one closes later.
    if (this.#open.get(channel) !== attachment) return;
    this.#open.delete(channel);
    this.connection.channels.delete(channel);
    if (this.byAddress) this.connection.socket.close(close, reason);
  }

  #freeChannel(): number {
    for (let channel = 0; channel < MAX_CHANNELS; channel += 1) if (!this.#open.has(channel)) return channel;
    throw new DomainError('ATTACHMENT_LIMIT', `At most ${MAX_CHANNELS} sessions on one socket.`);
  }
}

/** @throws DomainError INVALID_MESSAGE */
function inputHeader(payload: Buffer): DataHeader {
  const size = payload.length - DATA_HEADER_BYTES;
  if (size < 1 || size > MAX_INPUT_BYTES)
    throw new DomainError('INVALID_MESSAGE', `Input is 1 to ${MAX_INPUT_BYTES} bytes.`);
  let header: DataHeader;
  try {
    header = readDataHeader(payload);
  } catch (error) {
    throw new DomainError('INVALID_MESSAGE', 'The frame header is not valid.', { cause: error });
  }
  if (header.type !== FrameType.input || header.flags !== 0) {
    throw new DomainError('INVALID_MESSAGE', 'Clients send frames of type 2 (input) without flags.');
  }
  return header;
}
