import { Client } from 'pg';
import type { DataSource } from 'typeorm';

/** Advisory lock of migrations: several gateways that start together migrate one after the other. */
const MIGRATION_LOCK = 0x67617465;

/**
 * Connects the data source and runs what migrations are missing, under an advisory lock.
 * @param lock a connection of its own: the lock belongs to the session that took it
 * @throws the driver's error when the database cannot be reached
 */
export async function connectAndMigrate(dataSource: DataSource, lock: Client): Promise<void> {
  await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
  try {
    await dataSource.initialize();
    await dataSource.runMigrations();
  } finally {
    await lock.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
  }
}
