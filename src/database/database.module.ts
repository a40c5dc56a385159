import { type DynamicModule, Global, Module } from '@nestjs/common';
import type { ClientConfig } from 'pg';
import { DATABASE_CONNECTION, SecurityFeed } from './security-feed.js';
import { TenantScope } from './tenant-scope.js';

/** The two ways to the database that every room may ask for. */
@Global()
@Module({})
export class DatabaseModule {
  /** @param connection for the feed's own connection, under the role that the data source works under */
  static with(connection: ClientConfig): DynamicModule {
    return {
      module: DatabaseModule,
      providers: [{ provide: DATABASE_CONNECTION, useValue: connection }, TenantScope, SecurityFeed],
      exports: [TenantScope, SecurityFeed],
    };
  }
}
