import type { AuthorizationService } from '../authorization/authorization.service.js';
import type { Permission } from '../authorization/permissions.js';
import type { Resource } from '../authorization/policy.js';
import { DomainError } from '../kernel/errors.js';
import { DATA_HEADER_BYTES, type Frame } from '../kernel/frame.js';
import type { AttachMode, LinkAttached } from '../kernel/link.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { ByteLink, LinkListener } from '../runner-link/byte-link.js';

/** What an attachment carried, for its closing audit event. */
export interface AttachmentTotals {
  readonly mode: AttachMode;
  readonly bytes_out: number;
  readonly bytes_in: number;
  readonly duration_seconds: number;
}

/**
 * One client's connection to a session, as the gateway sees it: every input is authorised and counted, output is only
 * metered. Knows no transport; the edges turn frames into messages.
 */
export class Attachment {
  /** Position of the next input byte for clients that do not count themselves. */
  #inputNext: number;
  #mode: AttachMode;
  #bytesOut = 0;
  #bytesIn = 0;
  #ended = false;
  readonly #startedAt = performance.now();

  constructor(
    readonly context: CallerContext,
    readonly resource: Resource,
    readonly attached: LinkAttached,
    private readonly link: ByteLink,
    private readonly authorization: AuthorizationService,
    private readonly onEnd: (totals: AttachmentTotals) => void,
  ) {
    this.#inputNext = attached.input_next;
    this.#mode = attached.mode;
  }

  /** Begins delivery to the client. */
  start(listener: LinkListener): void {
    this.link.listen({
      onData: (frame) => {
        this.#bytesOut += outputBytes(frame);
        listener.onData(frame);
      },
      onControl: (message) => {
        if (message.type === 'mode_changed') this.#mode = message.mode;
        listener.onControl(message);
      },
      onClose: () => {
        this.#end();
        listener.onClose();
      },
    });
  }

  /**
   * Types bytes. The permission is decided anew for each message, not by the attach.
   * @param offset position of the first byte; null counts on from what this attachment sent before
   * @returns false when the link is full until {@link drained}
   * @throws DomainError PERMISSION_DENIED, NOT_CONTROLLER
   */
  input(bytes: Uint8Array, offset: number | null): boolean {
    this.require('pty:input');
    if (this.#mode !== 'controller') {
      throw new DomainError('NOT_CONTROLLER', 'Only the controller may type; send take_control first.');
    }
    const at = offset ?? this.#inputNext;
    this.#inputNext = at + bytes.length;
    this.#bytesIn += bytes.length;
    return this.link.input(at, bytes);
  }

  drained(): Promise<void> {
    return this.link.drained();
  }

  /** Sets the size; the controller's counts. @throws DomainError PERMISSION_DENIED, NOT_CONTROLLER */
  resize(cols: number, rows: number): void {
    this.require('pty:resize');
    if (this.#mode !== 'controller') throw new DomainError('NOT_CONTROLLER', 'Only the controller sets the size.');
    this.link.send({ type: 'resize', cols, rows });
  }

  /** Becomes controller; the one before becomes viewer. @throws DomainError PERMISSION_DENIED */
  takeControl(): void {
    this.require('pty:input');
    this.link.send({ type: 'take_control' });
  }

  /** The client has rendered everything before `offset`. */
  ack(offset: number): void {
    this.link.send({ type: 'ack', offset });
  }

  /** Decides one message. @throws DomainError PERMISSION_DENIED or NOT_FOUND */
  require(permission: Permission): void {
    this.authorization.require(this.context, permission, this.resource);
  }

  /** Stops and resumes delivery: the client's own socket is full. */
  pause(): void {
    this.link.pause();
  }

  resume(): void {
    this.link.resume();
  }

  /** Detaches; the session lives on. */
  close(): void {
    this.link.close();
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.onEnd({
      mode: this.#mode,
      bytes_out: this.#bytesOut,
      bytes_in: this.#bytesIn,
      duration_seconds: Math.round((performance.now() - this.#startedAt) / 1000),
    });
  }
}

/** Bytes of terminal output in a data frame. */
const outputBytes = (frame: Frame): number => frame.length - frame.headerBytes - DATA_HEADER_BYTES;
