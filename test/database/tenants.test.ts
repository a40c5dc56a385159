import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { TestGateway, token } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';

const TABLES = [
  ...['sessions', 'session_shares', 'worktrees', 'agents', 'api_keys', 'role_bindings', 'revocations', 'subjects'],
  'sealed_secrets',
  'audit_events',
];

describe('row-level security', () => {
  let gateway: TestGateway;
  let client: Client;
  const count = async (table: string): Promise<number> => {
    const { rows } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`);
    return Number(rows[0]?.n);
  };

  beforeAll(async () => {
    gateway = await TestGateway.start();
    for (const tenant of ['acme', 'umbrella']) {
      const admin = token({ sub: `${tenant}-admin`, roles: ['admin'], tenant });
      const id = await startSession(gateway, admin, { command: ['/bin/cat'] });
      const call = (method: string, path: string, body: object) => rest(gateway, admin, method, `/api/v1${path}`, body);
      await call('POST', `/sessions/${id}/share`, { grantee: { kind: 'subject', name: 'x' }, level: 'view' });
      await call('POST', '/api-keys', { name: 'k', roles: ['user'] });
      await call('PUT', '/policy/bindings', {
        role: 'user',
        member: { kind: 'subject', provider: 'gatehouse', name: 'x' },
      });
      await call('PUT', '/secrets/slack', { value: `of ${tenant}` });
      await call('POST', '/auth/revocations', { jti: `gone-${tenant}` });
      await gateway.query(
        `INSERT INTO worktrees (id, runner, tenant, name, owner_provider, owner_subject, state, state_at, repository, path,
           branch, base_ref, base_commit, adopted_branch, setup, teardown, created_at, removed_at)
         VALUES (gen_random_uuid(), gen_random_uuid(), $1, 'w', 'p', 's', 'removed', now(), '/r', '', '', '', '', false, '{}',
           '{}', now(), now())`,
        [tenant],
      );
      await gateway.query(
        `INSERT INTO agents (id, runner, tenant, owner_provider, owner_subject, name, provider, binary_name, approve, args,
           session_id, state, source, confidence, max_run_seconds, cols, rows, ended_at)
         VALUES (gen_random_uuid(), gen_random_uuid(), $1, 'p', 's', 'a', 'plain', 'cat', 'ask', '{}', gen_random_uuid(),
           'exited', 'process', 'low', 60, 80, 24, now())`,
        [tenant],
      );
    }
    await gateway.audit({ action: 'auth.success', user_id: 'umbrella-admin' });
    client = new Client({ connectionString: gateway.databaseUrl ?? '', options: '-c role=gatehouse_app' });
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await gateway.remove();
  });

  it.each(TABLES)(
    'a query on %s that forgets the tenant finds nothing, and one with it only the tenant’s',
    async (table) => {
      expect(await count(table)).toBe(0);
      for (const [tenant, other] of [
        ['acme', 'umbrella'],
        ['umbrella', 'acme'],
      ] as const) {
        await client.query('BEGIN');
        await client.query(`SELECT set_config('gatehouse.tenant', $1, true)`, [tenant]);
        const { rows } = await client.query<{ tenant: string }>(`SELECT DISTINCT tenant FROM ${table}`);
        expect(rows).toEqual([{ tenant }]);
        const { rowCount } = await client.query(`SELECT 1 FROM ${table} WHERE tenant = $1`, [other]);
        expect(rowCount).toBe(0);
        await client.query('COMMIT');
      }
      expect(await count(table)).toBe(0);
    },
  );

  it('nothing is written into another tenant either', async () => {
    const insert = (tenant: string) =>
      client.query(`INSERT INTO role_bindings VALUES (gen_random_uuid(), $1, 'admin', 'subject', 'p', 'm', 'me')`, [
        tenant,
      ]);
    await expect(insert('acme')).rejects.toThrow(/row-level security/);
    await client.query('BEGIN');
    await client.query(`SELECT set_config('gatehouse.tenant', 'acme', true)`);
    await expect(insert('umbrella')).rejects.toThrow(/row-level security/);
    await client.query('ROLLBACK');
    await client.query('BEGIN');
    await client.query(`SELECT set_config('gatehouse.tenant', 'acme', true)`);
    for (const table of ['sessions', 'worktrees', 'agents', 'sealed_secrets']) {
      const stolen = await client.query(`UPDATE ${table} SET name = 'stolen' WHERE tenant = 'umbrella'`);
      expect(stolen.rowCount).toBe(0);
    }
    await client.query('COMMIT');
  });

  it('the role of the application can do no more than it needs', async () => {
    for (const statement of [
      'DELETE FROM audit_events',
      'UPDATE audit_events SET success = true',
      'TRUNCATE audit_events',
      'DELETE FROM api_keys',
      'ALTER TABLE sessions DISABLE ROW LEVEL SECURITY',
      'DROP TABLE sessions',
      'ALTER TABLE worktrees DISABLE ROW LEVEL SECURITY',
      'TRUNCATE worktrees',
      'ALTER TABLE agents DISABLE ROW LEVEL SECURITY',
      'TRUNCATE agents',
      'ALTER TABLE sealed_secrets DISABLE ROW LEVEL SECURITY',
      'CREATE TABLE mine (id int)',
    ]) {
      await expect(client.query(statement)).rejects.toThrow(/permission denied|must be owner/);
    }
  });

  it('the gateway’s own connections work under that role', async () => {
    const rows = await gateway.query(
      `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'gatehouse'`,
    );
    expect(Number(rows[0]?.['n'])).toBeGreaterThan(1);
    expect((await rest(gateway, gateway.adminKey, 'GET', '/api/v1/sessions')).body['items']).toEqual([]);
  });
});
