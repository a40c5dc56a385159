import type { LiveStream, LiveStreams } from '../authorization/live-streams.js';
import type { AuditTrail } from '../kernel/audit.js';
import type { Authenticator } from '../kernel/authenticator.js';
import { callAt } from '../kernel/deadline.js';
import { DomainError } from '../kernel/errors.js';
import type { Log } from '../kernel/log.js';
import type { RateLimits } from '../kernel/rate-limits.js';
import type { CallerContext } from '../kernel/request-context.js';
import { toGrpcStatus } from '../transport/grpc-status.js';
import type { StreamLimits } from '../transport/stream-pace.js';
import type { Attachment } from './attachment.js';
import type { AttachmentsService } from './attachments.service.js';
import type { PtyService } from './pty.service.js';

/** What a stream needs of the gateway. */
export interface StreamServices {
  readonly sessions: PtyService;
  readonly attachments: AttachmentsService;
  readonly audit: AuditTrail;
  readonly authenticator: Authenticator;
  readonly logger: Log;
  readonly streams: LiveStreams;
  readonly limits: RateLimits;
  /** How fast a client may send. */
  readonly pace: StreamLimits;
}

/** The sending half of a gRPC stream. */
export interface OutgoingCall<Response> {
  write(response: Response, sent?: () => void): boolean;
  end(): void;
  once(event: 'drain', listener: () => void): unknown;
  on(event: 'cancelled' | 'error', listener: () => void): unknown;
  emit(event: 'error', status: object): boolean;
}

/**
 * A gRPC stream that shows one session to its caller. It ends with the attachment, with the caller's credential, with the
 * right to view, and when the server stops.
 */
export abstract class AttachedStream<Response> implements LiveStream {
  protected attachment: Attachment | null = null;
  #ended = false;
  #cancelExpiry: (() => void) | undefined;

  /** @param onEnd called once, when the stream is over, however */
  constructor(
    private readonly outgoing: OutgoingCall<Response>,
    protected readonly caller: CallerContext,
    protected readonly services: StreamServices,
    private readonly onEnd: () => void,
  ) {
    outgoing.on('cancelled', () => {
      this.finish();
    });
    outgoing.on('error', () => {
      this.finish();
    });
    this.expireWithCredential();
  }

  get context(): CallerContext {
    return this.caller;
  }

  recheck(): void {
    const { attachment } = this;
    if (attachment === null) return;
    void this.services.attachments.recheck(attachment).then((kept) => {
      if (!kept) this.fail(new DomainError('PERMISSION_DENIED', 'This session may not be viewed any more.'));
    });
  }

  end(error: DomainError): void {
    this.fail(error);
  }

  goAway(): void {
    this.fail(new DomainError('GOING_AWAY', 'The server is stopping.'));
  }

  protected get ended(): boolean {
    return this.#ended;
  }

  /** The stream has an attachment now. @returns false when it ended meanwhile, and the attachment with it */
  protected adopt(attachment: Attachment): boolean {
    if (this.#ended) attachment.close();
    else this.attachment = attachment;
    return !this.#ended;
  }

  /** Ends the stream when the credential ends; called again when a fresh one was presented. */
  protected expireWithCredential(): void {
    this.#cancelExpiry?.();
    this.#cancelExpiry = undefined;
    const { expiresAt } = this.caller.principal;
    if (expiresAt === null) return;
    this.#cancelExpiry = callAt(expiresAt, () => {
      const error = new DomainError('SESSION_EXPIRED', 'The credential of this stream has expired.');
      this.services.streams.expire(this, error);
    });
  }

  /**
   * Writes one frame; a client that does not keep up stops the link, and with it the runner's cursor.
   * @param sent called when the frame is on its way
   */
  protected send(response: Response, sent?: () => void): void {
    if (this.#ended || this.outgoing.write(response, sent)) return;
    this.attachment?.holdUntil((resume) => this.outgoing.once('drain', resume));
  }

  protected fail(error: DomainError): void {
    if (this.#ended) return;
    this.#end();
    this.outgoing.emit('error', toGrpcStatus(error, this.caller.requestId));
  }

  protected finish(): void {
    if (this.#ended) return;
    this.#end();
    this.outgoing.end();
  }

  /** What else is to be let go of at the end. */
  protected release(): void {
    // nothing here
  }

  #end(): void {
    this.#ended = true;
    this.#cancelExpiry?.();
    this.attachment?.close();
    this.release();
    this.onEnd();
  }
}
