import { Client } from 'pg';
import type { TestGateway } from './gateway.js';

/** Runs `work` while nobody can read or write the table. */
export async function whileLocked(gateway: TestGateway, table: string, work: () => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: gateway.databaseUrl ?? '' });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  try {
    await work();
  } finally {
    await client.end();
  }
}

/** How many connections wait for this table. */
export async function waitingFor(gateway: TestGateway, table: string): Promise<number> {
  const rows = await gateway.query('SELECT 1 FROM pg_locks WHERE NOT granted AND relation = $1::regclass', [table]);
  return rows.length;
}
