import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedPostgres } from '../../dist/src/database/embedded-postgres.js';

/** One real PostgreSQL for the whole run; every test file makes its own database in it. */
export default async function globalSetup() {
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-test-'));
  const postgres = await EmbeddedPostgres.open({ dataDir, log: () => undefined });
  process.env.TEST_POSTGRES_URL = postgres.url;
  globalThis.testPostgres = { postgres, dataDir };
}
