import '../support/nest-first.js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hash } from 'bcrypt';
import type { DataSource } from 'typeorm';
import { ApiKeyEntity } from '../../src/api-keys/api-key.entity.js';
import { FirstAdminKey } from '../../src/api-keys/first-admin-key.js';
import { MAX_RUNNING, MAX_WAITING, SecretHasher } from '../../src/api-keys/secret-hasher.js';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import type { SecurityFeed } from '../../src/database/security-feed.js';
import { TenantScope } from '../../src/database/tenant-scope.js';
import { systemClock } from '../../src/kernel/clock.js';
import { systemContext } from '../../src/kernel/request-context.js';
import { KeptTrail } from '../support/kept-trail.js';
import { createDatabase } from '../support/gateway.js';

const config = loadConfig({ NODE_ENV: 'production', TLS_TERMINATED_BY_PROXY: 'true', AUTH_SECRET: 'x'.repeat(32) });

describe('bcrypt’s queue', () => {
  it('takes as many as its bound, refuses the next, and is free again afterwards', async () => {
    const hasher = new SecretHasher(4);
    const stored = await hash('secret', 4);
    const checks = Array.from({ length: MAX_RUNNING + MAX_WAITING + 3 }, () => hasher.matches('secret', stored));
    const outcomes = await Promise.allSettled(checks);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(MAX_RUNNING + MAX_WAITING);
    expect(outcomes.slice(-3)).toMatchObject(Array(3).fill({ reason: { code: 'AUTH_BUSY' } }));
    expect(await hasher.matches('secret', stored)).toBe(true);
  });

  it('does not make who makes a key wait behind those who have invented ones checked', async () => {
    const hasher = new SecretHasher(4);
    const ended: string[] = [];
    const checks = Array.from({ length: MAX_RUNNING + MAX_WAITING }, () =>
      hasher.matches('secret', null).then(() => ended.push('check')),
    );
    const made = await hasher.hash('secret').then((text) => (ended.push('made'), text));
    await Promise.all(checks);
    expect(made).toMatch(/^\$2b\$04\$/);
    expect(ended.indexOf('made')).toBeLessThan(MAX_WAITING / 2);
  });

  it('is met by an unknown key too, which does not make every later one busy', async () => {
    const hasher = new SecretHasher(4);
    const checks = Array.from({ length: MAX_RUNNING + MAX_WAITING }, () => hasher.matches('secret', null));
    await expect(hasher.matches('secret', null)).rejects.toMatchObject({ code: 'AUTH_BUSY' });
    expect(await Promise.all(checks)).toEqual(checks.map(() => false));
    expect(await hasher.matches('no key has this secret', null)).toBe(false);
  });
});

describe('the first administrator’s key', () => {
  let dataSource: DataSource;
  let trail: KeptTrail;
  const feed = { catchUp: () => Promise.resolve() } as SecurityFeed;
  const first = (): FirstAdminKey =>
    new FirstAdminKey(new TenantScope(dataSource), new SecretHasher(4), trail, feed, config, systemClock);
  const count = (): Promise<number> => dataSource.getRepository(ApiKeyEntity).countBy({});
  const bindings = (): Promise<unknown[]> =>
    dataSource.query('SELECT role, member, member_provider FROM role_bindings');

  beforeAll(async () => {
    dataSource = createDataSource(await createDatabase(), config);
    await dataSource.initialize();
    await dataSource.runMigrations();
  });
  beforeEach(async () => {
    trail = new KeptTrail();
    await dataSource.query('DELETE FROM api_keys');
    await dataSource.query('DELETE FROM role_bindings');
  });
  afterAll(() => dataSource.destroy());

  it('two first starts at once make one key, and its owner holds what it holds', async () => {
    const shown: string[] = [];
    await Promise.all(
      [first(), first(), first()].map((each) =>
        each.create(systemContext(), (text) => {
          shown.push(text);
        }),
      ),
    );
    expect([shown.length, await count()]).toEqual([1, 1]);
    const [row] = await dataSource.getRepository(ApiKeyEntity).findBy({});
    expect(row).toMatchObject({ ownerSubject: 'admin', roles: ['admin'], lastFour: shown[0]?.slice(-4) });
    expect(await bindings()).toEqual([{ role: 'admin', member: 'admin', member_provider: 'gatehouse' }]);
    expect(trail.facts).toMatchObject([{ action: 'api_key.create', success: true }]);
  });

  it.each<[string, () => void, () => void]>([
    ['it cannot be audited', () => (trail.refuses = true), () => undefined],
    [
      'it cannot be shown',
      () => undefined,
      () => {
        throw new Error('no terminal');
      },
    ],
  ])('is not there when %s, and the next start makes another', async (_what, prepare, show) => {
    prepare();
    await expect(first().create(systemContext(), show)).rejects.toThrow();
    expect([await count(), await bindings()]).toEqual([0, []]);
    expect(trail.facts.at(-1)).toMatchObject({ action: 'api_key.create', success: false });
    trail.refuses = false;
    const shown: string[] = [];
    await first().create(systemContext(), (text) => void shown.push(text));
    expect([shown.length, await count()]).toEqual([1, 1]);
  });

  it('is made anew after an operator removed every key, rotated ones too', async () => {
    await first().create(systemContext(), () => undefined);
    await dataSource.query(`
      INSERT INTO api_keys (id, tenant, name, owner_provider, owner_subject, created_by_provider, created_by, key_hash,
        prefix, roles, rotated_from)
      SELECT 'successor0000000', tenant, name, owner_provider, owner_subject, created_by_provider, created_by, key_hash,
        prefix, roles, id FROM api_keys`);
    await dataSource.query(`UPDATE api_keys SET rotated_to = 'successor0000000' WHERE rotated_from IS NULL`);
    expect(await first().create(systemContext(), () => undefined)).toBeNull();
    await dataSource.query('DELETE FROM api_keys');
    expect(await first().create(systemContext(), () => undefined)).toMatch(/^gh_live_/);
    expect(await bindings()).toHaveLength(1);
  });
});
