import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { LiveStreams } from '../authorization/live-streams.js';
import { AuditTrail } from '../kernel/audit.js';
import { Authenticator } from '../kernel/authenticator.js';
import type { CallerContext } from '../kernel/request-context.js';
import { contextOfCarrier } from '../transport/execution-context.js';
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
  ) {
    this.#services = { sessions, attachments, audit, authenticator, logger, streams };
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
    const stream = make(() => {
      this.#open.delete(stream);
      ended();
    });
    this.#open.add(stream);
    const ended = this.streams.add(stream);
    if (this.#draining) stream.goAway();
    return stream;
  }

  /** Before a stop: every stream ends with UNAVAILABLE, and the client comes back elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const stream of this.#open) stream.goAway();
  }
}
