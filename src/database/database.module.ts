import { type DynamicModule, Global, Module } from '@nestjs/common';
import type { ClientConfig } from 'pg';
import type { DataSource } from 'typeorm';
import { ChangeFeed } from './change-feed.js';
import { DATABASE_CONNECTION, SecurityFeed } from './security-feed.js';
import { TenantScope } from './tenant-scope.js';

/** The audit trail's own data source, which nobody else uses. */
export const TRAIL_SOURCE = Symbol('TRAIL_SOURCE');

/** The two ways to the database that every room may ask for, and the audit trail's own. */
@Global()
@Module({})
export class DatabaseModule {
  /**
   * @param connection for the feed's own connection, under the role that the data source works under
   * @param trail the audit trail's own data source, connected
   */
  static with(connection: ClientConfig, trail: DataSource): DynamicModule {
    return {
      module: DatabaseModule,
      providers: [
        { provide: DATABASE_CONNECTION, useValue: connection },
        { provide: TRAIL_SOURCE, useValue: trail },
        TenantScope,
        SecurityFeed,
        ChangeFeed,
      ],
      exports: [TRAIL_SOURCE, TenantScope, SecurityFeed, ChangeFeed],
    };
  }
}
