import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import type { DataSource } from 'typeorm';
import { type AuditEvent, toEvent } from '../../src/audit/audit-event.js';
import { AuditRecorder } from '../../src/audit/audit-recorder.js';
import { AuditWriter, MAX_WAITING, RESERVED } from '../../src/audit/audit-writer.js';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import { TenantScope } from '../../src/database/tenant-scope.js';
import { systemClock } from '../../src/kernel/clock.js';
import { newId } from '../../src/kernel/ids.js';
import { InFlight } from '../../src/kernel/in-flight.js';
import type { Log } from '../../src/kernel/log.js';
import { systemContext } from '../../src/kernel/request-context.js';
import { createDatabase, until } from '../support/gateway.js';

const context = systemContext();

/** An event that PostgreSQL takes. */
const event = (change: Partial<AuditEvent> = {}): AuditEvent => ({
  ...toEvent(newId(), systemClock.microseconds(), context, { action: 'server.started', resource: null, success: true }),
  ...change,
});

/** An event that PostgreSQL refuses: a NUL in a text is SQLSTATE 22021. */
const poison = (): AuditEvent => event({ reason: 'a\0b' });

describe('the audit writer', () => {
  let url: string;
  let dataSource: DataSource;
  let operator: Client;
  let writer: AuditWriter;
  let told: [Record<string, unknown>, string][];

  beforeAll(async () => {
    url = await createDatabase();
  });
  beforeEach(async () => {
    dataSource = createDataSource(url, loadConfig({ NODE_ENV: 'production', AUTH_SECRET: 'x'.repeat(32) }));
    await dataSource.initialize();
    await dataSource.runMigrations();
    operator = new Client({ connectionString: url });
    await operator.connect();
    told = [];
    writer = new AuditWriter(new TenantScope(dataSource), logOf(told), systemClock);
  });
  afterEach(async () => {
    await writer.flush();
    await dataSource.destroy();
    await operator.end();
  });

  const written = async (ids: readonly string[]): Promise<number> =>
    (await operator.query('SELECT 1 FROM audit_events WHERE id = ANY ($1)', [ids])).rowCount ?? 0;

  it('drops the one row that PostgreSQL refuses, tells its id, and writes the others', async () => {
    const good = Array.from({ length: 40 }, () => event());
    const bad = poison();
    for (const each of good.slice(0, 20)) writer.enqueue(each);
    writer.enqueue(bad);
    for (const each of good.slice(20)) writer.enqueue(each);
    await expect(writer.commit(poison())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await writer.flush();
    expect(await written(good.map(({ id }) => id))).toBe(40);
    expect(told.map(([{ auditEventId }]) => auditEventId)).toContain(bad.id);
    expect(writer.healthy).toBe(true);
  });

  /** Connections made from here on cannot write, as after a failover; those that are open end. */
  const readOnly = async (on: boolean): Promise<void> => {
    await operator.query('SET default_transaction_read_only = off');
    const name = new URL(url).pathname.slice(1);
    await operator.query(
      `ALTER DATABASE ${name} ${on ? 'SET' : 'RESET'} default_transaction_read_only ${on ? '= on' : ''}`,
    );
    await operator.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
      [name],
    );
  };

  it.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
    [
      'the table is missing',
      () => operator.query('ALTER TABLE audit_events RENAME TO away'),
      () => operator.query('ALTER TABLE away RENAME TO audit_events'),
    ],
    ['the database is read-only', () => readOnly(true), () => readOnly(false)],
    [
      'statements take too long',
      async () => {
        await dataSource.query('SET statement_timeout = 300');
        await operator.query('BEGIN');
        await operator.query('LOCK TABLE audit_events');
      },
      () => operator.query('COMMIT'),
    ],
  ])('keeps rows for which nobody waits while %s, and refuses those that wait', async (_what, breakIt, mendIt) => {
    const noted = Array.from({ length: 600 }, () => event());
    await breakIt();
    try {
      for (const each of noted) writer.enqueue(each);
      // Behind more rows than one batch: it is told all the same.
      await expect(writer.commit(event())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
      expect(writer.healthy).toBe(false);
    } finally {
      await mendIt();
    }
    await until('everything is written', async () => (await written(noted.map(({ id }) => id))) === 600);
    await until('healthy', () => writer.healthy);
  });

  it('holds no more than its bound, and tells what it could not take', async () => {
    await operator.query('BEGIN');
    await operator.query('LOCK TABLE audit_events');
    const first = event();
    writer.enqueue(first);
    await until('the first is being written', async () => {
      const { rowCount } = await operator.query('SELECT 1 FROM pg_locks WHERE NOT granted');
      return (rowCount ?? 0) > 0;
    });
    const rest = Array.from({ length: MAX_WAITING - RESERVED }, () => event());
    for (const each of rest) writer.enqueue(each);
    expect(told).toEqual([]);
    const late = event();
    writer.enqueue(late);
    expect(told).toEqual([[{ auditEventId: late.id }, 'audit queue full, row not written']]);
    // There is room left for those who wait for their commit, and that has an end too.
    const awaited = Array.from({ length: RESERVED }, () => writer.commit(event()));
    await expect(writer.commit(event())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await operator.query('COMMIT');
    await Promise.all(awaited);
    const ids = [first, ...rest].map(({ id }) => id);
    expect(await written(ids)).toBe(rest.length + 1);
  });

  it('a success that was told and could not be committed is taken back in the log', async () => {
    const recorder = new AuditRecorder(writer, logOf(told), systemClock, new InFlight());
    await operator.query('ALTER TABLE audit_events RENAME TO away');
    const recorded = recorder.record(context, { action: 'pty.kill', resource: 'session:1', success: true });
    await expect(recorded).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await operator.query('ALTER TABLE away RENAME TO audit_events');
    recorder.onModuleDestroy();
    const [claim, correction] = told.map(([fields]) => fields).filter(({ audit }) => audit === true);
    expect(claim).toMatchObject({ action: 'pty.kill', success: true });
    expect(correction).toMatchObject({
      action: 'pty.kill',
      metadata: { corrects: claim?.['id'] },
      success: false,
      reason: 'AUDIT_UNAVAILABLE',
    });
    await until('its row', async () => (await written([String(correction?.['id'])])) === 1);
  });
});

function logOf(told: [Record<string, unknown>, string][]): Log {
  const tell = (fields: object, message: string): void => void told.push([fields as Record<string, unknown>, message]);
  return { debug: tell, info: tell, warn: tell, error: tell };
}
