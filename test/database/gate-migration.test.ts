import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { Foundation1700000000001 } from '../../migrations/0001-foundation.js';
import { Gate1700000000002 } from '../../migrations/0002-gate.js';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import { createDatabase } from '../support/gateway.js';

const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: 'x'.repeat(32) });

describe('an installation from before the gate', () => {
  let dataSource: DataSource;

  beforeAll(async () => {
    dataSource = createDataSource(await createDatabase(), config);
    await dataSource.initialize();
    const runner = dataSource.createQueryRunner();
    await new Foundation1700000000001().up(runner);
    await runner.query(`
      INSERT INTO api_keys (id, tenant, name, owner_subject, created_by, key_hash, prefix, roles, scopes, expires_at, revoked_at)
      VALUES
        ('good000000000000', 'default', 'k', 'admin', 'system', 'x', 'gh_live', '{admin}', NULL, NULL, NULL),
        ('later00000000000', 'default', 'k', 'ops', 'system', 'x', 'gh_live', '{user}', NULL, now() + interval '1 day', NULL),
        ('revoked000000000', 'default', 'k', 'leaver', 'system', 'x', 'gh_live', '{admin}', NULL, NULL, now()),
        ('expired000000000', 'default', 'k', 'past', 'system', 'x', 'gh_live', '{admin}', NULL, now() - interval '1 day', NULL),
        ('narrow0000000000', 'default', 'k', 'robot', 'system', 'x', 'gh_live', '{admin}', '{pty:view}', NULL, NULL)`);
    await new Gate1700000000002().up(runner);
    await runner.release();
  });
  afterAll(() => dataSource.destroy());

  it('has bindings for the owners of keys that work in full, and for nobody else', async () => {
    const rows: unknown = await dataSource.query(
      'SELECT tenant, role, member_kind, member_provider, member FROM role_bindings ORDER BY member',
    );
    const bound = { tenant: 'default', member_kind: 'subject', member_provider: 'gatehouse' };
    expect(rows).toEqual([
      { ...bound, role: 'admin', member: 'admin' },
      { ...bound, role: 'user', member: 'ops' },
    ]);
  });
});
