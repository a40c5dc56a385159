import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { LiveStreams } from '../authorization/live-streams.js';
import { AuditTrail } from '../kernel/audit.js';
import { Authenticator } from '../kernel/authenticator.js';
import type { CallerContext } from '../kernel/request-context.js';
import { contextOfCarrier } from '../transport/execution-context.js';
import { AttachmentsService } from './attachments.service.js';
import { type AttachCall, GrpcAttachment, type StreamServices } from './grpc-attachment.js';
import { PtyService } from './pty.service.js';

/** Serves `Attach` streams. */
@Injectable()
export class GrpcAttachments {
  readonly #open = new Set<GrpcAttachment>();
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
    this.#services = { sessions, attachments, audit, authenticator, logger };
  }

  serve(call: AttachCall): void {
    const caller = contextOfCarrier(call.metadata) as CallerContext;
    const stream = new GrpcAttachment(call, caller, this.#services, () => {
      this.#open.delete(stream);
      ended();
    });
    this.#open.add(stream);
    const ended = this.streams.add(stream);
    if (this.#draining) stream.goAway();
  }

  /** Before a stop: every stream ends with UNAVAILABLE, and the client comes back elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const stream of this.#open) stream.goAway();
  }
}
