import type { AuthorizationService } from '../authorization/authorization.service.js';
import type { Verdict } from '../authorization/decide.js';
import type { Permission } from '../authorization/permissions.js';
import type { Resource } from '../authorization/policy.js';
import { DomainError } from '../kernel/errors.js';
import { dataTypeOf, FrameType, outputLength } from '../kernel/frame.js';
import type { AttachMode, LinkAttached, LinkRequest } from '../kernel/link.js';
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
  /** What the runner was told last: whether this client may be controller. */
  #mayControl: boolean;
  #bytesOut = 0;
  #bytesIn = 0;
  #ended = false;
  #held = false;
  readonly #startedAt = performance.now();

  constructor(
    readonly context: CallerContext,
    /** The session as the policy sees it; replaced when it was shared or a share was taken back. */
    public resource: Resource,
    private readonly link: ByteLink,
    /** What the runner was told with the attach; what changed since is told with the next look at the permission. */
    mayControl: boolean,
    private readonly authorization: AuthorizationService,
    private readonly onEnd: (totals: AttachmentTotals) => void,
  ) {
    this.#mode = link.attached.mode;
    this.#mayType = this.#mode === 'controller';
    this.#mayControl = mayControl;
  }

  get attached(): LinkAttached {
    return this.link.attached;
  }

  /** Whether what is typed here is for the program, as far as can be told before the runner has it. */
  get mayType(): boolean {
    return this.#mayType;
  }

  get mode(): AttachMode {
    return this.#mode;
  }

  /** Bytes that went by so far. */
  get carried(): { readonly in: number; readonly out: number } {
    return { in: this.#bytesIn, out: this.#bytesOut };
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Begins delivery to the client. */
  start(listener: LinkListener): void {
    this.link.listen({
      onData: (frame) => {
        if (dataTypeOf(frame) === FrameType.output) this.#bytesOut += outputLength(frame);
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
        // Closed by us, the end was told already.
        if (this.#ended) return;
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

  /**
   * Sets the size; the controller's counts.
   * @returns resolves when the link takes more, as those of {@link takeControl} and {@link ack} do: until then nothing
   *   more is to be read of this client
   * @throws DomainError PERMISSION_DENIED, NOT_CONTROLLER
   */
  async resize(cols: number, rows: number): Promise<void> {
    this.require('pty:resize');
    if (!this.#mayType) throw new DomainError('NOT_CONTROLLER', 'Only the controller sets the size.');
    await this.#request({ type: 'resize', cols, rows });
  }

  /** Becomes controller; the one before becomes viewer. @throws DomainError PERMISSION_DENIED */
  async takeControl(): Promise<void> {
    this.require('pty:input');
    this.#mayType = true;
    await this.#request({ type: 'take_control' });
  }

  /** The client has rendered everything before `offset`. */
  async ack(offset: number): Promise<void> {
    await this.#request({ type: 'ack', offset });
  }

  /** Decides one message. @throws DomainError PERMISSION_DENIED or NOT_FOUND */
  require(permission: Permission): void {
    this.authorization.require(this.context, permission, this.resource);
  }

  /** Whether the caller, as it is now, may do this. */
  permits(permission: Permission): boolean {
    return this.decide(permission).allow;
  }

  /** The same, with the rule behind it. */
  decide(permission: Permission): Verdict {
    return this.authorization.decide(this.context.principal, permission, this.resource);
  }

  /**
   * Tells the runner when the caller may become controller now, or must not be it any more.
   * @returns true when it was controller and is not any more
   */
  followPermission(): boolean {
    const may = this.permits('pty:input');
    if (may === this.#mayControl) return false;
    this.#mayControl = may;
    this.link.send({ type: 'permit', may_control: may });
    if (may || this.#mode !== 'controller') return false;
    this.#mayType = false;
    return true;
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

  async #request(message: LinkRequest): Promise<void> {
    if (!this.link.send(message)) await this.link.drained();
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
