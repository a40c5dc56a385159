import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { DataSource } from 'typeorm';
import { EventStore } from '../../src/audit/chain/event-store.js';
import { type AuditDraft, type AuditEvent, toDraft } from '../../src/audit/record/audit-event.js';
import { AuditWriter } from '../../src/audit/record/audit-writer.js';
import { Spool } from '../../src/audit/record/spool.js';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import { TenantScope } from '../../src/database/tenant-scope.js';
import { systemClock } from '../../src/kernel/clock.js';
import { newId } from '../../src/kernel/ids.js';
import type { Log } from '../../src/kernel/log.js';
import { systemContext } from '../../src/kernel/request-context.js';

/** An event that PostgreSQL takes. */
export function draft(change: Partial<AuditEvent> = {}): AuditDraft {
  const fact = { action: 'server.started', resource: null, success: true } as const;
  const made = toDraft(newId(), systemClock.microseconds(), systemContext(), fact);
  return { ...made, event: { ...made.event, ...change } };
}

export const idOf = ({ event: { id } }: AuditDraft): string => id;

/** A migrated database with the trail in it, an operator's connection to it, and a folder for spools. */
export class TrailDatabase {
  /** What the log was told. */
  told: [Record<string, unknown>, string][] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'gatehouse-spool-'));

  private constructor(
    readonly dataSource: DataSource,
    readonly operator: Client,
  ) {}

  static async open(url: string): Promise<TrailDatabase> {
    const dataSource = createDataSource(
      url,
      loadConfig({ NODE_ENV: 'production', TLS_TERMINATED_BY_PROXY: 'true', AUTH_SECRET: 'x'.repeat(32) }),
    );
    await dataSource.initialize();
    await dataSource.runMigrations();
    const operator = new Client({ connectionString: url });
    await operator.connect();
    return new TrailDatabase(dataSource, operator);
  }

  async close(): Promise<void> {
    rmSync(this.folder, { recursive: true });
    await this.dataSource.destroy();
    await this.operator.end();
  }

  store(node = 'here'): EventStore {
    return new EventStore(new TenantScope(this.dataSource), this.dataSource, node);
  }

  /** @param room bytes that its spool may have */
  async writer(mode: 'closed' | 'spool' = 'closed', room = 1 << 20): Promise<AuditWriter> {
    const spool = await Spool.open(this.folder, room);
    return new AuditWriter(this.store(), spool, { AUDIT_FAIL_MODE: mode }, this.log(), systemClock);
  }

  log(): Log {
    const tell = (fields: object, message: string): void =>
      void this.told.push([fields as Record<string, unknown>, message]);
    return { debug: tell, info: tell, warn: tell, error: tell };
  }

  /** The log lines of events. */
  events(): Record<string, unknown>[] {
    return this.told.map(([fields]) => fields).filter(({ audit }) => audit === true);
  }

  /** How many of these are in the table. */
  async written(ids: readonly string[]): Promise<number> {
    return (await this.operator.query('SELECT 1 FROM audit_events WHERE id = ANY ($1)', [ids])).rowCount ?? 0;
  }

  away(): Promise<unknown> {
    return this.operator.query('ALTER TABLE audit_events RENAME TO away');
  }

  back(): Promise<unknown> {
    return this.operator.query('ALTER TABLE away RENAME TO audit_events');
  }

  /** Ids of all events in the order of the one chain, which has to be whole. */
  async chain(): Promise<string[]> {
    const { rows } = await this.operator.query<
      Record<'id' | 'prev_hash' | 'hash' | 'canonical', string> & { seq: number }
    >('SELECT id, seq::int, prev_hash, hash, canonical FROM audit_events ORDER BY seq');
    let [seq, before] = [0, '0'.repeat(64)];
    for (const row of rows) {
      const made = createHash('sha256').update(row.canonical).digest('hex');
      if (row.seq !== seq + 1 || row.prev_hash !== before || row.hash !== made)
        throw new Error(`the chain is broken at ${String(row.seq)}`);
      [seq, before] = [row.seq, made];
    }
    return rows.map(({ id }) => id);
  }

  /** Empties the trail, as nobody but an operator at a prompt can. */
  async empty(): Promise<void> {
    const parts = await this.operator.query<{ part: string }>(
      "SELECT inhrelid::regclass AS part FROM pg_inherits WHERE inhparent = 'audit_events'::regclass",
    );
    for (const part of ['audit_events', ...parts.rows.map((row) => row.part)])
      await this.operator.query(`ALTER TABLE ${part} DISABLE TRIGGER USER`);
    await this.operator.query('TRUNCATE audit_events, audit_chains');
  }
}
