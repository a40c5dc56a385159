import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource, EntityManager } from 'typeorm';

/**
 * Where every query on rows of a tenant runs. PostgreSQL's row-level security shows the rows of the transaction's tenant
 * only; a query outside of a scope finds nothing.
 */
@Injectable()
export class TenantScope {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  /** Runs `work` in a transaction that sees and writes the rows of this tenant. */
  within<T>(tenant: string, work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.#transaction('gatehouse.tenant', tenant, work);
  }

  /**
   * Runs `work` in a transaction that sees every tenant's rows: for what the server does by itself, such as following the
   * runner, and for finding a credential's tenant in the first place. Never on behalf of a caller.
   */
  system<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.#transaction('gatehouse.scope', 'system', work);
  }

  /**
   * Like {@link system}, but only reads, and sees everything as it was at one moment.
   * @param kept a table of which nothing is dropped meanwhile, a part of it neither
   */
  snapshot<T>(kept: string, work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.dataSource.transaction('REPEATABLE READ', async (manager) => {
      // None of these is a query, with which the moment would be fixed: the lock has to come before it.
      await manager.query('SET TRANSACTION READ ONLY');
      await manager.query(`SET LOCAL gatehouse.scope = 'system'`);
      await manager.query(`LOCK TABLE ${kept} IN ACCESS SHARE MODE`);
      return work(manager);
    });
  }

  #transaction<T>(setting: string, value: string, work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query('SELECT set_config($1, $2, true)', [setting, value]);
      return work(manager);
    });
  }
}
