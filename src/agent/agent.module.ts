import { type DynamicModule, Module, type OnModuleInit } from '@nestjs/common';
import { OwnershipRegistry } from '../authorization/ownership.js';
import type { YamlFile } from '../config/yaml-file.js';
import { PtyModule } from '../pty/pty.module.js';
import { WorktreeModule } from '../worktree/worktree.module.js';
import { AgentController } from './agent.controller.js';
import { AgentGateway } from './agent.gateway.js';
import { AgentGrpc } from './agent.grpc.js';
import { AgentMetrics } from './agent-metrics.js';
import { AgentFollower } from './agent-follower.js';
import { AgentStarts } from './agent-starts.js';
import { AgentStates } from './agent-states.js';
import { AgentStore } from './agent-store.js';
import { AgentStreams } from './agent-streams.js';
import { AgentWatches } from './agent-watches.js';
import { AgentWorktrees } from './agent-worktrees.js';
import { AgentsService } from './agents.service.js';
import { PROVIDER_FILE, type Registry } from './providers/provider-file.js';
import { Providers } from './providers/providers.js';

/** Coding agents: programs of a registry, each in a session. */
@Module({})
export class AgentModule implements OnModuleInit {
  constructor(
    private readonly ownership: OwnershipRegistry,
    private readonly store: AgentStore,
  ) {}

  /** @param file agents.yaml, read */
  static with(file: YamlFile<Registry>): DynamicModule {
    return {
      module: AgentModule,
      imports: [PtyModule, WorktreeModule],
      controllers: [AgentController, AgentGrpc],
      providers: [
        { provide: PROVIDER_FILE, useValue: file },
        ...[Providers, AgentStore, AgentStates, AgentFollower, AgentsService, AgentStarts, AgentWorktrees],
        ...[AgentWatches, AgentStreams, AgentGateway, AgentMetrics],
      ],
      exports: [AgentStreams],
    };
  }

  onModuleInit(): void {
    this.ownership.register('agent', (id, { principal }) => this.store.owner(principal.tenant, id));
  }
}
