import { type DynamicModule, Global, Module } from '@nestjs/common';
import { RUNNER_ID } from '../kernel/tokens.js';
import { RunnerAgents } from './runner-agents.js';
import { RunnerClient } from './runner-client.js';
import { RunnerWorktreeClient } from './runner-worktree-client.js';

/** The gateway's side of the link: its one runner. */
@Global()
@Module({})
export class RunnerLinkModule {
  /** @param id the runner's own, which outlives its process */
  static with(runner: RunnerClient, id: string): DynamicModule {
    return {
      module: RunnerLinkModule,
      providers: [
        { provide: RunnerClient, useValue: runner },
        { provide: RunnerAgents, useValue: new RunnerAgents(runner.endpoint) },
        { provide: RunnerWorktreeClient, useValue: new RunnerWorktreeClient(runner.endpoint) },
        { provide: RUNNER_ID, useValue: id },
      ],
      exports: [RunnerClient, RunnerAgents, RunnerWorktreeClient, RUNNER_ID],
    };
  }
}
