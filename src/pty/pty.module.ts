import { Module, type OnModuleInit } from '@nestjs/common';
import { OwnershipRegistry } from '../authorization/ownership.js';
import { AttachmentsService } from './attachments.service.js';
import { GrpcAttachments } from './grpc-attachments.js';
import { PtyController } from './pty.controller.js';
import { PtyGateway } from './pty.gateway.js';
import { PtyGrpc } from './pty.grpc.js';
import { PtyService } from './pty.service.js';
import { RequestHash } from './request-hash.js';
import { TerminalMetrics } from './terminal-metrics.js';
import { SharingController } from './sharing.controller.js';
import { SharingGrpc } from './sharing.grpc.js';
import { SharingService } from './sharing.service.js';
import { SessionEnds } from './session-ends.js';
import { SessionFollower } from './session-follower.js';
import { SessionStarts } from './session-starts.js';
import { SessionWaits } from './session-waits.js';
import { SessionStore } from './session-store.js';

/** Sessions: PTYs that live in the runner. Needs REQUEST_KEYS from a global module. */
@Module({
  controllers: [PtyController, PtyGrpc, SharingController, SharingGrpc],
  providers: [
    PtyService,
    SharingService,
    PtyGateway,
    AttachmentsService,
    GrpcAttachments,
    SessionStore,
    SessionEnds,
    SessionStarts,
    TerminalMetrics,
    SessionWaits,
    RequestHash,
    SessionFollower,
  ],
  exports: [
    SessionEnds,
    SessionFollower,
    GrpcAttachments,
    SessionWaits,
    SessionStarts,
    SessionStore,
    PtyService,
    RequestHash,
  ],
})
export class PtyModule implements OnModuleInit {
  constructor(
    private readonly ownership: OwnershipRegistry,
    private readonly store: SessionStore,
  ) {}

  onModuleInit(): void {
    this.ownership.register('session', (id, { principal }) => this.store.owner(principal.tenant, id));
  }
}
