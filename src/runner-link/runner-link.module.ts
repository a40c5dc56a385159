import { type DynamicModule, Global, Module } from '@nestjs/common';
import { RUNNER_ID } from '../kernel/tokens.js';
import { RunnerClient } from './runner-client.js';

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
        { provide: RUNNER_ID, useValue: id },
      ],
      exports: [RunnerClient, RUNNER_ID],
    };
  }
}
