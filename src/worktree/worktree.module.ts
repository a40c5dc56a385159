import { Module, type OnModuleInit } from '@nestjs/common';
import { OwnershipRegistry } from '../authorization/ownership.js';
import { PtyModule } from '../pty/pty.module.js';
import { WorktreeAccess } from './worktree-access.js';
import { WorktreeChangesController } from './worktree-changes.controller.js';
import { WorktreeChangesGrpc } from './worktree-changes.grpc.js';
import { WorktreeChangesService } from './worktree-changes.service.js';
import { WorktreeCommands } from './worktree-commands.js';
import { WorktreeCreationService } from './worktree-creation.service.js';
import { WorktreeFollower } from './worktree-follower.js';
import { WorktreeMetrics } from './worktree-metrics.js';
import { WorktreeReadingService } from './worktree-reading.service.js';
import { WorktreeRemovalService } from './worktree-removal.service.js';
import { WorktreeStore } from './worktree-store.js';
import { WorktreeController } from './worktree.controller.js';
import { WorktreeGateway } from './worktree.gateway.js';
import { WorktreeGrpc } from './worktree.grpc.js';

/** Worktrees: checkouts that live beside the runner. Needs REQUEST_KEYS from a global module. */
@Module({
  imports: [PtyModule],
  controllers: [WorktreeController, WorktreeChangesController, WorktreeGrpc, WorktreeChangesGrpc],
  providers: [
    WorktreeStore,
    WorktreeAccess,
    WorktreeCommands,
    WorktreeReadingService,
    WorktreeCreationService,
    WorktreeChangesService,
    WorktreeRemovalService,
    WorktreeFollower,
    WorktreeGateway,
    WorktreeMetrics,
  ],
  exports: [WorktreeCreationService, WorktreeRemovalService, WorktreeAccess, WorktreeStore],
})
export class WorktreeModule implements OnModuleInit {
  constructor(
    private readonly ownership: OwnershipRegistry,
    private readonly store: WorktreeStore,
  ) {}

  onModuleInit(): void {
    this.ownership.register('worktree', (id, { principal }) => this.store.owner(principal.tenant, id));
  }
}
