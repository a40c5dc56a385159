import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { EmbeddedPostgres } from '../../dist/src/database/embedded-postgres.js';

/** One real PostgreSQL for the whole run; every test file makes its own database in it. */
export default async function globalSetup() {
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-test-'));
  const postgres = await EmbeddedPostgres.open({ dataDir, log: () => undefined });
  await hurry(postgres.url);
  process.env.TEST_POSTGRES_URL = postgres.url;
  globalThis.testPostgres = { postgres, dataDir };
}

/** No test ends the machine, so nothing has to be on the disk; what ends PostgreSQL has one of its own. */
async function hurry(connectionString) {
  const client = new pg.Client({ connectionString });
  await client.connect();
  for (const setting of ['fsync', 'full_page_writes']) await client.query(`ALTER SYSTEM SET ${setting} = off`);
  await client.query('SELECT pg_reload_conf()');
  await client.end();
}
