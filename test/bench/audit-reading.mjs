/**
 * How long a page of 100 of the audit trail takes, for each filter by itself, and what PostgreSQL does for it:
 * `npm run build && node test/bench/audit-reading.mjs [--rows 10000000]`. The bar is 50 ms at ten million rows. It makes a
 * database of its own, of about 1.6 KiB a row, and removes it.
 */
import 'reflect-metadata';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { EventReader } from '../../dist/src/audit/read/event-reader.js';
import { loadConfig } from '../../dist/src/config/load.js';
import { createDataSource } from '../../dist/src/database/data-source.js';
import { EmbeddedPostgres } from '../../dist/src/database/embedded-postgres.js';
import { migrate } from '../../dist/src/database/migrate.js';
import { EXPLAINING, fillTrail, nodesOf, scopeOn, singleFilters } from '../support/audit-rows.ts';

const ROUNDS = 7;
const BAR_MS = 50;
const { values } = parseArgs({ options: { rows: { type: 'string', default: '10000000' } } });
const rows = Number(values.rows);
if (!Number.isSafeInteger(rows) || rows < 1) throw new Error('--rows takes a number');

const began = performance.now();
const tell = (step) => console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${step}`);
const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: 'x'.repeat(32) });
const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-'));
const postgres = await EmbeddedPostgres.open({ dataDir, log: () => undefined });

async function connected(options) {
  const client = new Client({ connectionString: postgres.url, ...(options === undefined ? {} : { options }) });
  await client.connect();
  return client;
}

/** Milliseconds of a page: the middle of some rounds, and the first, which finds nothing in memory. */
async function timed(reader, filter) {
  const took = [];
  let items = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    ({ items } = await reader.page('default', { filter, after: null, limit: 100 }));
    took.push(performance.now() - start);
  }
  const [first] = took;
  took.sort((a, b) => a - b);
  return { items: items.length, first, middle: took[ROUNDS >> 1] };
}

const owner = await connected();
const clients = [owner];
try {
  await migrate(createDataSource(postgres.url, config), owner);
  await fillTrail(owner, rows, tell);
  const { rows: size } = await owner.query('SELECT pg_size_pretty(pg_database_size(current_database())) AS size');
  tell(`ready: ${rows} rows, ${size[0].size}`);
  const [plain, explaining] = [await connected('-c role=gatehouse_app'), await connected(EXPLAINING)];
  clients.push(plain, explaining);
  const notices = [];
  explaining.on('notice', ({ message }) => notices.push(message));
  let over = 0;
  for (const [name, filter] of Object.entries(await singleFilters(owner))) {
    const { items, first, middle } = await timed(new EventReader(scopeOn(plain)), filter);
    notices.length = 0;
    await new EventReader(scopeOn(explaining)).page('default', { filter, after: null, limit: 100 });
    if (middle > BAR_MS) over += 1;
    const figures = `${middle.toFixed(1).padStart(8)} ms (first ${first.toFixed(1).padStart(7)})  ${String(items).padStart(3)} items`;
    console.log(`${name.padEnd(26)}${figures}  ${nodesOf(notices).join(', ')}`);
  }
  console.log(over === 0 ? `all within ${BAR_MS} ms` : `${over} over ${BAR_MS} ms`);
} finally {
  for (const client of clients) await client.end();
  await postgres.stop();
  // For root the cluster is elsewhere, and its password beside it.
  const place = dirname(postgres.directory);
  for (const path of [place, `${place}.password`, dataDir]) rmSync(path, { recursive: true, force: true });
}
