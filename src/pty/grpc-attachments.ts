import type { ServerDuplexStream } from '@grpc/grpc-js';
import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { AttachRequest__Output } from '../generated/gatehouse/pty/v1/AttachRequest.js';
import type { AttachResponse } from '../generated/gatehouse/pty/v1/AttachResponse.js';
import { AuditTrail } from '../kernel/audit.js';
import type { CallerContext } from '../kernel/request-context.js';
import { contextOfCarrier } from '../transport/execution-context.js';
import { AttachmentsService } from './attachments.service.js';
import { GrpcAttachment } from './grpc-attachment.js';
import { PtyService } from './pty.service.js';

export type AttachCall = ServerDuplexStream<AttachRequest__Output, AttachResponse>;

/** What the stream of one attachment needs of the house. */
export interface StreamServices {
  readonly sessions: PtyService;
  readonly attachments: AttachmentsService;
  readonly audit: AuditTrail;
  readonly logger: PinoLogger;
}

/** Serves `Attach` streams. */
@Injectable()
export class GrpcAttachments {
  readonly #open = new Set<GrpcAttachment>();
  readonly #services: StreamServices;

  constructor(sessions: PtyService, attachments: AttachmentsService, audit: AuditTrail, logger: PinoLogger) {
    this.#services = { sessions, attachments, audit, logger };
  }

  serve(call: AttachCall): void {
    const caller = contextOfCarrier(call.metadata) as CallerContext;
    const stream = new GrpcAttachment(call, caller, this.#services, () => this.#open.delete(stream));
    this.#open.add(stream);
  }

  /** Before a stop: every stream ends with UNAVAILABLE, and the client comes back elsewhere. */
  drain(): void {
    for (const stream of this.#open) stream.goAway();
  }
}
