import { Client } from 'pg';
import type { DataSource } from 'typeorm';
import { applicationRole } from './application-role.js';

/** Advisory lock of migrations: several gateways that start together migrate one after the other. */
const MIGRATION_LOCK = 0x67617465;

/**
 * Runs what migrations are missing, under an advisory lock, and finds the role to work under.
 * @param migrator a data source that works as the login itself; closed again
 * @param lock a connection of its own: the lock belongs to the session that took it
 * @returns the role, or null when the login itself is the one
 * @throws the driver's error when the database cannot be reached
 */
export async function migrate(migrator: DataSource, lock: Client): Promise<string | null> {
  await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
  try {
    await migrator.initialize();
    await migrator.runMigrations();
    return await applicationRole(lock);
  } finally {
    if (migrator.isInitialized) await migrator.destroy();
    await lock.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]);
  }
}
