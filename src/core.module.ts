import { type DynamicModule, Global, Module } from '@nestjs/common';
import { CONFIG, type Config } from './config/load.js';
import { systemClock } from './kernel/clock.js';
import { Connections } from './kernel/connections.js';
import { InFlight } from './kernel/in-flight.js';
import { CLOCK, NODE_NAME } from './kernel/tokens.js';
import { REQUEST_KEYS } from './pty/request-hash.js';
import { ClientAddresses } from './transport/client-address.js';

/** What every room may ask for: configuration, time, whether the server stops, and whose word about addresses counts. */
@Global()
@Module({})
export class CoreModule {
  /**
   * @param node the name of this gateway among those on its database
   * @param keys that tell repeated requests apart
   */
  static with(config: Config, node: string, keys: readonly Buffer[]): DynamicModule {
    return {
      module: CoreModule,
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: NODE_NAME, useValue: node },
        { provide: REQUEST_KEYS, useValue: keys },
        { provide: CLOCK, useValue: systemClock },
        { provide: Connections, useValue: new Connections(config.CONNECTIONS_PER_PRINCIPAL) },
        { provide: InFlight, useValue: new InFlight() },
        { provide: ClientAddresses, useValue: new ClientAddresses(config.TRUSTED_PROXIES) },
      ],
      exports: [CONFIG, NODE_NAME, REQUEST_KEYS, CLOCK, Connections, InFlight, ClientAddresses],
    };
  }
}
