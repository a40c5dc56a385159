import '../support/nest-first.js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { PinoLogger } from 'nestjs-pino';
import { Client } from 'pg';
import type { DataSource } from 'typeorm';
import { loadConfig } from '../../src/config/load.js';
import { applicationRole } from '../../src/database/application-role.js';
import { createDataSource } from '../../src/database/data-source.js';
import { SecurityFeed } from '../../src/database/security-feed.js';
import { createDatabase, until } from '../support/gateway.js';

const config = loadConfig({
  NODE_ENV: 'production',
  TLS_TERMINATED_BY_PROXY: 'true',
  AUTH_SECRET: 'x'.repeat(32),
  AUTH_STATE_MAX_AGE_SECONDS: '1',
});
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as PinoLogger;
const BIND = `INSERT INTO role_bindings (id, tenant, role, member_kind, member_provider, member, created_by)`;

describe('the security feed', () => {
  let url: string;
  let dataSource: DataSource;
  let operator: Client;
  let feed: SecurityFeed;
  let heard: string[];
  let resets: number;

  const hears = (key: string) => until(`hearing of ${key}`, () => heard.includes(key));
  const numbers = async () =>
    (await operator.query<{ seq: string; topic: string }>('SELECT seq, topic FROM security_changes ORDER BY seq')).rows;
  const revoke = async (): Promise<string> => {
    const { rows } = await operator.query<{ id: string }>(
      `INSERT INTO revocations (id, tenant, kind, jti, before, own, created_by, expires_at)
       VALUES (gen_random_uuid(), 't', 'jti', gen_random_uuid(), now(), false, 'me', now() + interval '1 day') RETURNING id`,
    );
    return rows[0]?.id ?? '';
  };

  beforeEach(async () => {
    url = await createDatabase();
    dataSource = createDataSource(url, config);
    await dataSource.initialize();
    await dataSource.runMigrations();
    operator = new Client({ connectionString: url });
    await operator.connect();
    heard = [];
    resets = 0;
    feed = new SecurityFeed({ connectionString: url, application_name: 'feed' }, config, logger);
    feed.on('revocation', (changes) => {
      heard.push(...changes.map(({ key }) => key));
      return Promise.resolve();
    });
    feed.onReset(() => {
      resets += 1;
      return Promise.resolve();
    });
  });
  afterEach(async () => {
    await feed.onModuleDestroy();
    await operator.end();
    await dataSource.destroy();
  });

  it('a statement on many rows is numbered in one step, each row once, without gaps', async () => {
    await operator.query(
      `${BIND} SELECT gen_random_uuid(), 't', 'user', 'subject', 'p', n::text, 'me' FROM generate_series(1, 10000) n`,
    );
    // Row by row this takes many seconds, and every other change of rights waits for it.
    await operator.query(`SET statement_timeout = '4s'`);
    await operator.query('DELETE FROM role_bindings');
    const rows = await numbers();
    expect(rows.map(({ seq }) => Number(seq))).toEqual(Array.from({ length: 20_001 }, (_, n) => n));
  });

  it('a statement that changes nothing of weight waits for nobody', async () => {
    await operator.query(
      `INSERT INTO api_keys (id, tenant, name, owner_subject, owner_provider, created_by, created_by_provider, key_hash,
         prefix, roles) VALUES ('${'a'.repeat(16)}', 't', 'n', 'o', 'p', 'me', 'p', 'h', 'gh_live', '{user}')`,
    );
    await operator.query(`INSERT INTO subjects VALUES ('t', 'p', 's', '{user}', '{}', now())`);
    const other = new Client({ connectionString: url });
    await other.connect();
    await other.query('BEGIN; UPDATE security_clock SET seq = seq');
    await operator.query(`SET lock_timeout = '2s'`);
    await operator.query('UPDATE api_keys SET use_count = use_count + 1, last_used_at = now()');
    await operator.query('UPDATE subjects SET issued_at = now()');
    await operator.query('UPDATE role_bindings SET role = role');
    await operator.query('DELETE FROM session_shares');
    await other.end();
    expect((await numbers()).map(({ topic }) => topic)).toEqual(['start', 'subject']);
    await operator.query(`UPDATE subjects SET roles = '{}'`);
    await operator.query('UPDATE api_keys SET revoked_at = now()');
    await operator.query('DELETE FROM api_keys');
    expect((await numbers()).map(({ topic }) => topic)).toEqual(['start', 'subject', 'subject', 'api_key', 'api_key']);
  });

  it('everything is loaded anew when a failover took the numbers back, even when they have overtaken since', async () => {
    await revoke();
    await feed.onApplicationBootstrap();
    expect(resets).toBe(1);
    // The change that was seen is lost with the old server; another one got its number, and more came after.
    await operator.query(`BEGIN; LOCK TABLE security_clock, security_changes;
      DELETE FROM security_changes WHERE seq > 0; UPDATE security_clock SET seq = 0`);
    await revoke();
    await revoke();
    await operator.query('COMMIT');
    await until('loading everything', () => resets === 2);
    const next = await revoke();
    await hears(next);
    expect([resets, heard]).toEqual([2, [next]]);
  });

  it('everything is loaded anew on a new connection', async () => {
    await feed.onApplicationBootstrap();
    await operator.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'feed'`);
    await until('loading everything', () => resets === 2);
  });

  it('a topic that cannot be taken in makes the knowledge old, and keeps no other one back', async () => {
    let broken = false;
    const take = () => (broken ? Promise.reject(new Error('no')) : Promise.resolve());
    feed.on('binding', take);
    feed.onReset(take);
    await feed.onApplicationBootstrap();
    broken = true;
    await operator.query('BEGIN');
    await operator.query(`${BIND} VALUES (gen_random_uuid(), 't', 'user', 'subject', 'p', 'm', 'me')`);
    const id = await revoke();
    await operator.query('COMMIT');
    await hears(id);
    await until('growing old', () => !feed.fresh);
    broken = false;
    await until('knowing again', () => feed.fresh);
  });

  it('a listener that never comes back is given up, and the knowledge grows old meanwhile', async () => {
    let hang = true;
    feed.on('binding', () => (hang ? new Promise(() => undefined) : Promise.resolve()));
    await feed.onApplicationBootstrap();
    await operator.query(`${BIND} VALUES (gen_random_uuid(), 't', 'user', 'subject', 'p', 'm', 'me')`);
    await until('growing old', () => !feed.fresh);
    expect(() => {
      feed.requireFresh();
    }).toThrow('What was revoked cannot be known now.');
    hang = false;
    await until('knowing again', () => feed.fresh);
    await hears(await revoke());
  });

  it('a connection that may connect and then is of no use is closed again', async () => {
    const attempts = 3;
    const closed = new SecurityFeed(
      { connectionString: url, application_name: 'deaf', options: '-c role=pg_monitor' },
      config,
      logger,
    );
    for (let n = 0; n < attempts; n += 1)
      await expect(closed.onApplicationBootstrap()).rejects.toThrow('cannot be loaded');
    await until('the end of its connections', async () => {
      const { rows } = await operator.query(`SELECT 1 FROM pg_stat_activity WHERE application_name = 'deaf'`);
      return rows.length === 0;
    });
    await closed.onModuleDestroy();
  });

  it('the gateway does not start under a role of its name that sees past row-level security', async () => {
    await applicationRole(operator);
    // Roles belong to the server that other tests use too: nobody else sees this one.
    await operator.query('BEGIN; ALTER ROLE gatehouse_app BYPASSRLS');
    await expect(applicationRole(operator)).rejects.toThrow('sees past row-level security');
    await operator.query('ROLLBACK');
  });
});
