import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { LiveStreams } from '../authorization/live-streams.js';
import { CONFIG, type Config } from '../config/load.js';
import { AuditTrail } from '../kernel/audit.js';
import { Authenticator } from '../kernel/authenticator.js';
import { Connections } from '../kernel/connections.js';
import { RateLimits } from '../kernel/rate-limits.js';
import type { CallerContext } from '../kernel/request-context.js';
import { toDomainError } from '../transport/error-mapping.js';
import { contextOfCarrier } from '../transport/execution-context.js';
import { streamLimitsOf } from '../transport/stream-pace.js';
import { AttachmentsService } from './attachments.service.js';
import type { StreamServices } from './attached-stream.js';
import { type AttachCall, GrpcAttachment } from './grpc-attachment.js';
import { type OutputCall, OutputStream } from './output-stream.js';
import type { StreamOutputCommand } from './pty.schema.js';
import { PtyService } from './pty.service.js';

/** A stream, as far as its end is concerned. */
type OpenStream = GrpcAttachment | OutputStream;

/** Serves the streams of gRPC: `Attach` and `StreamOutput`. */
@Injectable()
export class GrpcAttachments {
  readonly #open = new Set<OpenStream>();
  readonly #services: StreamServices;
  #draining = false;

  constructor(
    sessions: PtyService,
    attachments: AttachmentsService,
    audit: AuditTrail,
    logger: PinoLogger,
    authenticator: Authenticator,
    private readonly streams: LiveStreams,
    private readonly connections: Connections,
    limits: RateLimits,
    @Inject(CONFIG) config: Config,
  ) {
    const pace = streamLimitsOf(config);
    this.#services = { sessions, attachments, audit, authenticator, logger, streams, limits, pace };
  }

  serve(call: AttachCall): void {
    const caller = contextOfCarrier(call.metadata) as CallerContext;
    this.#keep((onEnd) => new GrpcAttachment(call, caller, this.#services, onEnd));
  }

  /** Streams a session's output. @returns when the stream is over, however it ended */
  async serveOutput(call: OutputCall, caller: CallerContext, command: StreamOutputCommand): Promise<void> {
    const over = Promise.withResolvers<undefined>();
    const stream = this.#keep((onEnd) => {
      const ended = (): void => {
        onEnd();
        over.resolve(undefined);
      };
      return new OutputStream(call, caller, this.#services, ended);
    });
    await stream.open(command);
    await over.promise;
  }

  /** Watches a stream until it ends. */
  #keep<Stream extends OpenStream>(make: (onEnd: () => void) => Stream): Stream {
    let left: (() => void) | null = null;
    const stream = make(() => {
      this.#open.delete(stream);
      ended();
      left?.();
    });
    this.#open.add(stream);
    const ended = this.streams.add(stream);
    left = this.#counted(stream);
    if (this.#draining) stream.goAway();
    return stream;
  }

  /** Counts it among its caller's connections, or ends it when there are too many. */
  #counted(stream: OpenStream): (() => void) | null {
    try {
      return this.connections.enter(stream.context.principal);
    } catch (thrown) {
      stream.end(toDomainError(thrown));
      return null;
    }
  }

  /** Before a stop: every stream ends with UNAVAILABLE, and the client comes back elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const stream of this.#open) stream.goAway();
  }
}
