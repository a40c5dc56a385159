import type { AuthorizationService } from '../authorization/authorization.service.js';
import type { Permission } from '../authorization/permissions.js';
import type { Resource } from '../authorization/policy.js';
import { DomainError } from '../kernel/errors.js';
import { outputLength } from '../kernel/frame.js';
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
  #mode: AttachMode;
  /** Viewers are refused here; whoever asked for control is decided on by the runner, which knows the order. */
  #mayType: boolean;
  #bytesOut = 0;
  #bytesIn = 0;
  #ended = false;
  #held = false;
  readonly #startedAt = performance.now();

  constructor(
    readonly context: CallerContext,
    readonly resource: Resource,
    readonly attached: LinkAttached,
    private readonly link: ByteLink,
    private readonly authorization: AuthorizationService,
    private readonly onEnd: (totals: AttachmentTotals) => void,
  ) {
    this.#mode = attached.mode;
    this.#mayType = attached.mode === 'controller';
  }

  /** Begins delivery to the client. */
  start(listener: LinkListener): void {
    this.link.listen({
      onData: (frame) => {
        this.#bytesOut += outputLength(frame);
        listener.onData(frame);
      },
      onControl: (message) => {
        if (message.type === 'mode_changed') {
          this.#mode = message.mode;
          this.#mayType = message.mode === 'controller';
        }
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
   * @param offset position of the first byte; null: the bytes follow on what came before
   * @returns false when the link is full until {@link drained}
   * @throws DomainError PERMISSION_DENIED, NOT_CONTROLLER
   */
  input(bytes: Uint8Array, offset: number | null): boolean {
    this.require('pty:input');
    if (!this.#mayType) {
      throw new DomainError('NOT_CONTROLLER', 'Only the controller may type; send take_control first.');
    }
    this.#bytesIn += bytes.length;
    return this.link.input(offset, bytes);
  }

  drained(): Promise<void> {
    return this.link.drained();
  }

  /** Sets the size; the controller's counts. @throws DomainError PERMISSION_DENIED, NOT_CONTROLLER */
  resize(cols: number, rows: number): void {
    this.require('pty:resize');
    if (!this.#mayType) throw new DomainError('NOT_CONTROLLER', 'Only the controller sets the size.');
    this.link.send({ type: 'resize', cols, rows });
  }

  /** Becomes controller; the one before becomes viewer. @throws DomainError PERMISSION_DENIED */
  takeControl(): void {
    this.require('pty:input');
    this.#mayType = true;
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

  /** Whether the caller's credential, which may have been renewed since, allows this. */
  permits(permission: Permission): boolean {
    return this.authorization.allows(this.context.principal, permission, this.resource);
  }

  /**
   * The client's own socket is full: stops delivery until it has room.
   * @param onDrain calls back once, when it has
   */
  holdUntil(onDrain: (resume: () => void) => void): void {
    // Frames of one chunk still come after the pause; one wait is enough for all of them.
    if (this.#held) return;
    this.#held = true;
    this.link.pause();
    onDrain(() => {
      this.#held = false;
      this.link.resume();
    });
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
