import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource, QueryRunner } from 'typeorm';
import { Foundation1700000000001 } from '../../migrations/0001-foundation.js';
import { Gate1700000000002 } from '../../migrations/0002-gate.js';
import { SessionOptions1700000000003 } from '../../migrations/0003-session-options.js';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import { createDatabase } from '../support/gateway.js';

const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: 'x'.repeat(32) });
const INSERT = `
  INSERT INTO sessions (id, runner, tenant, name, owner_provider, owner_subject, state, command, cwd, cols, rows)
  VALUES ($1, $2, 'default', 's', 'gatehouse', $3, 'running', '{sh}', '/', 80, 24)`;

describe('sessions from before they had times and request ids', () => {
  let dataSource: DataSource;
  let runner: QueryRunner;
  const old = randomUUID();
  const insert = (id: string, subject: string): Promise<unknown> => runner.query(INSERT, [id, randomUUID(), subject]);
  const request = (id: string, name: string): Promise<unknown> =>
    runner.query(`UPDATE sessions SET request_id = $2, request_hash = 'h' WHERE id = $1`, [id, name]);

  beforeAll(async () => {
    dataSource = createDataSource(await createDatabase(), config);
    await dataSource.initialize();
    runner = dataSource.createQueryRunner();
    await new Foundation1700000000001().up(runner);
    await new Gate1700000000002().up(runner);
    await runner.query(`SELECT set_config('gatehouse.scope', 'system', false)`);
    await insert(old, 'alice');
    await new SessionOptions1700000000003().up(runner);
  });
  afterAll(async () => {
    await runner.release();
    await dataSource.destroy();
  });

  it('stay, with no end set to them', async () => {
    const rows: unknown = await runner.query(
      'SELECT idle_timeout_seconds, max_duration_seconds, request_id, request_hash FROM sessions WHERE id = $1',
      [old],
    );
    expect(rows).toEqual([
      { idle_timeout_seconds: null, max_duration_seconds: null, request_id: null, request_hash: null },
    ]);
  });

  it('are followed by ones of which PostgreSQL itself lets one owner have each request id once', async () => {
    const [first, second, theirs] = [randomUUID(), randomUUID(), randomUUID()];
    await insert(first, 'alice');
    await insert(second, 'alice');
    await insert(theirs, 'bob');
    await request(first, 'r');
    await request(theirs, 'r');
    await expect(request(second, 'r')).rejects.toThrow('sessions_requested');
    await expect(runner.query('UPDATE sessions SET idle_timeout_seconds = 0 WHERE id = $1', [second])).rejects.toThrow(
      'idle_timeout_seconds',
    );
  });

  it('can be had back', async () => {
    await new SessionOptions1700000000003().down(runner);
    const rows = (await runner.query('SELECT * FROM sessions WHERE id = $1', [old])) as Record<string, unknown>[];
    expect(Object.keys(rows[0] ?? {})).not.toContain('request_id');
  });
});
