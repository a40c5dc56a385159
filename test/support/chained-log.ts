import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { DataSource } from 'typeorm';
import { Checkpoints } from '../../src/audit/chain/checkpoints.js';
import { hashOf } from '../../src/audit/chain/chain.js';
import { EventStore } from '../../src/audit/chain/event-store.js';
import { SigningKey } from '../../src/audit/chain/signing-key.js';
import { type AuditDraft, toDraft } from '../../src/audit/record/audit-event.js';
import { AuditWriter } from '../../src/audit/record/audit-writer.js';
import { Spool } from '../../src/audit/record/spool.js';
import { Months } from '../../src/audit/retention/months.js';
import type { Verification } from '../../src/audit/verify/verification.js';
import { Verifier } from '../../src/audit/verify/verifier.js';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import { migrate } from '../../src/database/migrate.js';
import { TenantScope } from '../../src/database/tenant-scope.js';
import { canonicalJson, type Json } from '../../src/kernel/canonical-json.js';
import { systemClock } from '../../src/kernel/clock.js';
import { newId } from '../../src/kernel/ids.js';
import type { Log } from '../../src/kernel/log.js';
import type { Principal } from '../../src/kernel/principal.js';
import { systemContext } from '../../src/kernel/request-context.js';
import { createDatabase, dropDatabase } from './gateway.js';
import { KeptTrail } from './kept-trail.js';

export const config = loadConfig({
  NODE_ENV: 'production',
  TLS_TERMINATED_BY_PROXY: 'true',
  AUTH_SECRET: 'x'.repeat(32),
});
export const newKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey;
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The first moment of the month that is so many months away from this one, and a time in it. */
export function monthAt(months: number): Date {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months));
}
export const timeIn = (months: number, minute = 0): string =>
  new Date(monthAt(months).getTime() + minute * 60_000).toISOString().replace('Z', '000Z');

/** An event of somebody at a time. */
export function draftAt(timestamp: string, subject = 'alice'): AuditDraft {
  const principal = { tenant: 'default', provider: 'idp', subject, kind: 'user', method: 'jwt' } as Principal;
  const caller = { ...systemContext(), principal, remoteAddress: '192.0.2.7', userAgent: `curl of ${subject}` };
  const fact = { action: 'pty.kill', resource: 'session:1', success: true, metadata: { signal: 15 } } as const;
  const made = toDraft(newId(), systemClock.microseconds(), caller, fact);
  return { ...made, event: { ...made.event, timestamp } };
}

/** A database with chains in it, as gateways write them, and as somebody with all rights may treat them. */
export class ChainedLog {
  readonly trail = new KeptTrail();
  readonly told: string[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'gatehouse-chain-'));

  private constructor(
    readonly url: string,
    readonly key: KeyObject,
    readonly dataSource: DataSource,
    /** A superuser, whom no trigger stops. */
    readonly attacker: Client,
  ) {}

  /** @param template a database of {@link create} to begin with, to which nobody is connected */
  static async create(key: KeyObject, template?: string): Promise<ChainedLog> {
    const url = await createDatabase(template);
    const client = new Client({ connectionString: url });
    await client.connect();
    const role = await migrate(createDataSource(url, config), client);
    const dataSource = createDataSource(url, config, role);
    await dataSource.initialize();
    await client.query(`SET session_replication_role = replica; SET timezone = 'UTC'`);
    return new ChainedLog(url, key, dataSource, client);
  }

  /** The database stays. */
  async disconnect(): Promise<void> {
    await this.dataSource.destroy();
    await this.attacker.end();
    rmSync(this.folder, { recursive: true });
  }

  async close(): Promise<void> {
    await this.disconnect();
    await dropDatabase(this.url);
  }

  get scope(): TenantScope {
    return new TenantScope(this.dataSource);
  }

  get signing(): SigningKey {
    return SigningKey.of(this.key);
  }

  /** What a gateway of that name writes with. */
  async gateway(node: string, checkpointFile?: string): Promise<{ writer: AuditWriter; checkpoints: Checkpoints }> {
    const store = new EventStore(this.scope, this.dataSource, node);
    const spool = await Spool.open(join(this.folder, node), 1 << 20);
    const writer = new AuditWriter(store, spool, { AUDIT_FAIL_MODE: 'spool' }, silent, systemClock);
    const file = { AUDIT_CHECKPOINT_FILE: checkpointFile };
    const parts = [store, writer, this.scope, this.signing, node, file, silent, systemClock] as const;
    return { writer, checkpoints: new Checkpoints(...parts) };
  }

  /** Writes events of these times, and signs where the chain is after each of these numbers. */
  async write(node: string, times: readonly string[], signAfter: readonly number[], file?: string): Promise<void> {
    const { writer, checkpoints } = await this.gateway(node, file);
    for (const [index, time] of times.entries()) {
      await writer.commit(draftAt(time));
      if (signAfter.includes(index + 1)) await checkpoints.sign();
    }
    await writer.beforeApplicationShutdown();
  }

  /** A gateway's look after its months. */
  months(days: number): Months {
    const tell = (fields: object, text: string): void =>
      void this.told.push('err' in fields ? `${text}: ${String(fields.err)}` : text);
    const log: Log = { debug: tell, info: tell, warn: tell, error: tell };
    const keeps = { AUDIT_RETENTION_DAYS: days };
    return new Months(this.scope, this.signing, this.trail, keeps, log, systemClock);
  }

  verify(
    from: string | null = null,
    to: string | null = null,
    checkpointFile: string | null = null,
  ): Promise<Verification> {
    const { scope, signing: key } = this;
    return new Verifier({ scope, key, checkpointFile, isStopping: () => false }).verify({ from, to });
  }

  async sql(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.attacker.query<Record<string, unknown>>(text, values)).rows;
  }

  /** The id of an event. */
  async idOf(node: string, seq: number): Promise<string> {
    const [row] = await this.sql('SELECT id FROM audit_events WHERE node = $1 AND seq = $2', [node, seq]);
    return String(row?.['id']);
  }

  /** Changes an event so that it fits itself: columns, text and hash. @returns the new hash */
  async rewrite(node: string, seq: number, change: Readonly<Record<string, Json>>): Promise<string> {
    const [row] = await this.sql('SELECT canonical FROM audit_events WHERE node = $1 AND seq = $2', [node, seq]);
    const event = { ...(JSON.parse(String(row?.['canonical'])) as Record<string, Json>), ...change };
    const canonical = canonicalJson(event);
    const columns = Object.keys(change);
    const values = columns.map((name) => (name === 'metadata' ? JSON.stringify(change[name]) : change[name]));
    const sets = columns.map((name, index) => `${name} = $${String(index + 5)}, `).join('');
    await this.sql(`UPDATE audit_events SET ${sets} canonical = $3, hash = $4 WHERE node = $1 AND seq = $2`, [
      node,
      seq,
      canonical,
      hashOf(canonical),
      ...values,
    ]);
    return hashOf(canonical);
  }

  /** Computes every hash behind an event anew, to the end of the chain. @returns the last one */
  async rechain(node: string, after: number, last: number, hash: string): Promise<string> {
    let end = hash;
    for (let seq = after + 1; seq <= last; seq += 1) end = await this.rewrite(node, seq, { prev_hash: end });
    return end;
  }
}
