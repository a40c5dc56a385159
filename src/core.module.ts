import { type DynamicModule, Global, Module } from '@nestjs/common';
import { CONFIG, type Config } from './config/load.js';
import { systemClock } from './kernel/clock.js';
import { CLOCK } from './kernel/tokens.js';

/** What every room may ask for: configuration and time. */
@Global()
@Module({})
export class CoreModule {
  static with(config: Config): DynamicModule {
    return {
      module: CoreModule,
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: CLOCK, useValue: systemClock },
      ],
      exports: [CONFIG, CLOCK],
    };
  }
}
