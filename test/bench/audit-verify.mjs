/**
 * How long it takes to verify the audit trail, and how much memory: makes a chain of events with signed checkpoints, then
 * walks it as the gateway does, under its role. `npm run build && node test/bench/audit-verify.mjs [events]`.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Client } from 'pg';
import 'reflect-metadata';
import { chained, GENESIS } from '../../dist/src/audit/chain/chain.js';
import { signCheckpoint } from '../../dist/src/audit/chain/checkpoint.js';
import { SigningKey } from '../../dist/src/audit/chain/signing-key.js';
import { toDraft } from '../../dist/src/audit/record/audit-event.js';
import { Verifier } from '../../dist/src/audit/verify/verifier.js';
import { loadConfig } from '../../dist/src/config/load.js';
import { createDataSource } from '../../dist/src/database/data-source.js';
import { EmbeddedPostgres } from '../../dist/src/database/embedded-postgres.js';
import { migrate } from '../../dist/src/database/migrate.js';
import { TenantScope } from '../../dist/src/database/tenant-scope.js';
import { newId } from '../../dist/src/kernel/ids.js';
import { systemContext } from '../../dist/src/kernel/request-context.js';

const events = Number(process.argv[2] ?? 1_000_000);
if (!Number.isSafeInteger(events) || events < 1) throw new Error('takes a number of events');
const BATCH = 2000;
const CHECKPOINT_EVERY = 1000;
const NODE = 'bench';
/** The chain's own; the others serve searches, and cost most of what writing costs. */
const KEPT_INDEX = 'audit_events_chain';
const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: 'a-secret-for-the-benchmark-0123456789abcdef' });
const key = SigningKey.of(generateKeyPairSync('ed25519').privateKey);
const context = { ...systemContext(), remoteAddress: '192.0.2.7', userAgent: 'curl/8.5.0' };

async function dropSearches(client) {
  const { rows } = await client.query(
    `SELECT indexname FROM pg_indexes WHERE tablename = 'audit_events' AND indexname <> $1 AND indexname NOT LIKE '%pkey%'`,
    [KEPT_INDEX],
  );
  for (const { indexname } of rows) await client.query(`DROP INDEX ${indexname}`);
}

/** Some events at the end of the chain. @returns where it ends then */
async function write(client, head, count, at) {
  const drafts = Array.from({ length: count }, (_, index) => {
    const metadata = { signal: 15, session_seconds: index, command: 'npm run build' };
    const fact = { action: 'pty.kill', resource: `session:${newId()}`, success: true, metadata };
    return toDraft(newId(), at + BigInt(index), context, fact).event;
  });
  const placed = chained(NODE, head, drafts);
  const rows = placed.map(({ canonical, hash, ...event }) => ({ ...event, canonical, hash }));
  await client.query('INSERT INTO audit_events SELECT * FROM jsonb_populate_recordset(NULL::audit_events, $1)', [
    JSON.stringify(rows),
  ]);
  return placed.at(-1);
}

async function checkpoint(client, { seq, hash }) {
  const signed = signCheckpoint(key, {
    node: NODE,
    seq,
    hash,
    count: CHECKPOINT_EVERY,
    time: new Date().toISOString(),
  });
  await client.query(
    'INSERT INTO audit_checkpoints (node, seq, document, key_id, signature) VALUES ($1, $2, $3, $4, $5)',
    [...[NODE, seq, signed.document, signed.key_id, signed.signature]],
  );
}

async function fill(client) {
  let head = { seq: 0, hash: GENESIS };
  const begin = BigInt(Date.now()) * 1000n;
  while (head.seq < events) {
    head = await write(client, head, Math.min(BATCH, events - head.seq), begin + BigInt(head.seq));
    if (head.seq % CHECKPOINT_EVERY === 0) await checkpoint(client, head);
  }
  await client.query('INSERT INTO audit_chains (node, seq, hash) VALUES ($1, $2, $3)', [NODE, head.seq, head.hash]);
  await client.query('VACUUM ANALYZE audit_events');
}

async function verify(dataSource) {
  const verifier = new Verifier({
    scope: new TenantScope(dataSource),
    key,
    checkpointFile: null,
    isStopping: () => false,
  });
  const before = process.memoryUsage().rss;
  let peak = before;
  const sampling = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const [started, used] = [performance.now(), process.cpuUsage()];
  const { ok, problem, counts } = await verifier.verify({ from: null, to: null });
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(used);
  delay.disable();
  clearInterval(sampling);
  if (!ok) throw new Error(`does not verify: ${JSON.stringify(problem)}`);
  return { counts, seconds, cpu: (user + system) / 1e6, before, peak, delay };
}

const mebibytes = (bytes) => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-bench-'));
const postgres = await EmbeddedPostgres.open({ dataDir: folder, log: () => undefined });
try {
  const client = new Client({ connectionString: postgres.url });
  // What went wrong is told by who asked; the server may be gone first.
  client.on('error', () => undefined);
  await client.connect();
  const role = await migrate(createDataSource(postgres.url, config), client);
  await dropSearches(client);
  const started = performance.now();
  await fill(client);
  console.log(`made ${events} events in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  const dataSource = createDataSource(postgres.url, config, role);
  await dataSource.initialize();
  const { counts, seconds, cpu, before, peak, delay } = await verify(dataSource);
  console.log(`verified ${counts.events} events and ${counts.checkpoints} checkpoints in ${seconds.toFixed(1)} s`);
  console.log(`${Math.round(counts.events / seconds)} events/s, ${cpu.toFixed(1)} s of the gateway's CPU`);
  console.log(`memory ${mebibytes(before)} before, ${mebibytes(peak)} at most`);
  console.log(
    `event loop held up ${(delay.percentile(99) / 1e6).toFixed(1)} ms p99, ${(delay.max / 1e6).toFixed(1)} ms at most`,
  );
  await dataSource.destroy();
  await client.end();
} finally {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}
