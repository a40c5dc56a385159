/**
 * What the audit trail costs: events per second of the group commit against PostgreSQL's own multi-row insert of the same
 * rows into a table with the same indexes, and what a commit adds to a request, alone and beside others.
 *
 *   npm run build && node test/bench/audit-writing.mjs [--rounds 5] [--events 20000]
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import 'reflect-metadata';
import { Client } from 'pg';
import { EventStore } from '../../dist/src/audit/chain/event-store.js';
import { toDraft } from '../../dist/src/audit/record/audit-event.js';
import { AuditWriter } from '../../dist/src/audit/record/audit-writer.js';
import { Spool } from '../../dist/src/audit/record/spool.js';
import { loadConfig } from '../../dist/src/config/load.js';
import { createDataSource } from '../../dist/src/database/data-source.js';
import { EmbeddedPostgres } from '../../dist/src/database/embedded-postgres.js';
import { TenantScope } from '../../dist/src/database/tenant-scope.js';
import { systemClock } from '../../dist/src/kernel/clock.js';
import { newId } from '../../dist/src/kernel/ids.js';
import { systemContext } from '../../dist/src/kernel/request-context.js';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, events: { type: 'string', default: '20000' } },
});
const EVENTS = Number(options.events);
const BATCH = 500;
const CALLERS = 1000;
const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: 'a-secret-for-the-benchmark-0123456789abcdef' });
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const principal = (user) => ({
  ...{ tenant: 'default', provider: 'gatehouse', subject: `user-${user}`, kind: 'user', method: 'jwt' },
  credentialId: newId(),
});

/** Events as requests of a hundred people make them. */
function draft(index) {
  const user = index % 100;
  const caller = { ...systemContext(), transport: 'rest', remoteAddress: `10.0.0.${user}`, userAgent: 'curl/8.5.0' };
  const context = { ...caller, requestId: newId(), principal: principal(user) };
  const fact = { action: 'pty.signal', resource: `session:${newId()}`, success: true, metadata: { signal: 'WINCH' } };
  return toDraft(newId(), systemClock.microseconds(), context, fact);
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const at = (list, share) => list.toSorted((a, b) => a - b)[Math.floor(list.length * share)];
const perSecond = (milliseconds) => (EVENTS / milliseconds) * 1000;

/** PostgreSQL's own: rows that are made already, one statement and one transaction for each batch. */
async function plainInserts(client, rows) {
  const columns = Object.keys(rows[0]);
  const types = columns.map((name) => ({ id: 'uuid', timestamp: 'timestamptz', success: 'boolean' })[name] ?? 'text');
  types[columns.indexOf('metadata')] = 'jsonb';
  types[columns.indexOf('seq')] = 'bigint';
  const arrays = types.map((type, index) => `$${index + 1}::${type}[]`).join(', ');
  const sql = `INSERT INTO plain (${columns.map((name) => `"${name}"`).join(', ')}) SELECT * FROM unnest(${arrays})`;
  const began = performance.now();
  for (let from = 0; from < rows.length; from += BATCH) {
    const batch = rows.slice(from, from + BATCH);
    await client.query(
      sql,
      columns.map((name) => batch.map((row) => row[name])),
    );
  }
  return perSecond(performance.now() - began);
}

/** The group commit: many callers, each waits for its own event. */
async function groupCommit(writer) {
  let left = EVENTS;
  const caller = async () => {
    while (left-- > 0) await writer.commit(draft(left));
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return perSecond(performance.now() - began);
}

/** What one commit adds, milliseconds each. @param beside how many others commit one after the other meanwhile */
async function latencies(writer, beside) {
  let on = true;
  const others = Array.from({ length: beside }, async (_, index) => {
    while (on) {
      await writer.commit(draft(index));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  const times = [];
  for (let call = 0; call < 300; call += 1) {
    const began = performance.now();
    await writer.commit(draft(call));
    times.push(performance.now() - began);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  on = false;
  await Promise.all(others);
  return times;
}

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-bench-'));
const dataDir = join(folder, 'data');
mkdirSync(dataDir, { mode: 0o700 });
const postgres = await EmbeddedPostgres.open({ dataDir, log: () => undefined });
const dataSource = createDataSource(postgres.url, config);
const client = new Client({ connectionString: postgres.url });
try {
  await dataSource.initialize();
  await dataSource.runMigrations();
  await client.connect();
  await client.query('CREATE TABLE plain (LIKE audit_events INCLUDING ALL)');
  const spool = await Spool.open(join(dataDir, 'audit'), 1 << 30);
  const store = new EventStore(new TenantScope(dataSource), dataSource, 'bench');
  const writer = new AuditWriter(store, spool, { AUDIT_FAIL_MODE: 'closed' }, silent, systemClock);
  await writer.commit(draft(0));
  const [plain, ours, ratios] = [[], [], []];
  for (let round = 0; round < Number(options.rounds); round += 1) {
    const rate = await groupCommit(writer);
    const { rows } = await client.query(
      `SELECT id, timestamp::text, tenant, user_id, principal_kind, auth_method, credential_id, action, resource, success,
         reason, level, transport, remote_addr, user_agent, request_id, trace_id, metadata::text, node, seq, prev_hash, hash,
         canonical FROM audit_events ORDER BY seq DESC LIMIT $1`,
      [EVENTS],
    );
    const own = await plainInserts(client, rows);
    plain.push(own);
    ours.push(rate);
    ratios.push(rate / own);
  }
  console.log(`${EVENTS} events a round, ${CALLERS} callers, ${options.rounds} rounds, medians`);
  console.log(`  PostgreSQL, ${BATCH} rows a statement   ${median(plain).toFixed(0)} events/s`);
  console.log(`  group commit                     ${median(ours).toFixed(0)} events/s, × ${median(ratios).toFixed(2)}`);
  for (const beside of [0, 50]) {
    const times = await latencies(writer, beside);
    const [p50, p99] = [at(times, 0.5), at(times, 0.99)].map((time) => time.toFixed(2));
    console.log(`  a commit beside ${beside} callers: p50 ${p50} ms, p99 ${p99} ms`);
  }
  await writer.beforeApplicationShutdown();
} finally {
  await client.end();
  await dataSource.destroy();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}
