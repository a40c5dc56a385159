import { Global, Module } from '@nestjs/common';
import { CONFIG, type Config } from '../config/load.js';
import { RunnerClient } from './runner-client.js';
import { runnerDirectory } from './runner-process.js';

/** The gateway's side of the link. */
@Global()
@Module({
  providers: [
    {
      provide: RunnerClient,
      inject: [CONFIG],
      useFactory: (config: Config) => new RunnerClient(runnerDirectory(config)),
    },
  ],
  exports: [RunnerClient],
})
export class RunnerLinkModule {}
