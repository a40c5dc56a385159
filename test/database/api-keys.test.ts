import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hash } from 'bcrypt';
import type { DataSource } from 'typeorm';
import { ApiKeyEntity } from '../../src/api-keys/api-key.entity.js';
import { ApiKeysService } from '../../src/api-keys/api-keys.service.js';
import { MAX_RUNNING, MAX_WAITING, SecretHasher } from '../../src/api-keys/secret-hasher.js';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import { type AuditFact, AuditTrail } from '../../src/kernel/audit.js';
import { DomainError } from '../../src/kernel/errors.js';
import { systemContext } from '../../src/kernel/request-context.js';
import { createDatabase } from '../support/gateway.js';

const config = loadConfig({ NODE_ENV: 'production', AUTH_SECRET: 'x'.repeat(32) });

/** The trail is not what is tested here: it keeps what it is told, and refuses when asked to. */
class KeptTrail extends AuditTrail {
  readonly facts: AuditFact[] = [];
  refuses = false;

  record(_context: unknown, fact: AuditFact): Promise<void> {
    this.facts.push(fact);
    return this.refuses ? Promise.reject(new DomainError('AUDIT_UNAVAILABLE', 'no')) : Promise.resolve();
  }
  note(_context: unknown, fact: AuditFact): void {
    this.facts.push(fact);
  }
  outcome<T>(_context: unknown, _attempt: unknown, act: () => Promise<T>): Promise<T> {
    return act();
  }
  noteDenied(): void {}
  noteStranger(): void {}
  noteAccepted(): void {}
}

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

  it('is met by an unknown key too, which does not make every later one busy', async () => {
    const hasher = new SecretHasher(4);
    const checks = Array.from({ length: MAX_RUNNING + MAX_WAITING }, () => hasher.matches('secret', null));
    await expect(hasher.matches('secret', null)).rejects.toMatchObject({ code: 'AUTH_BUSY' });
    expect(await Promise.all(checks)).toEqual(checks.map(() => false));
    expect(await hasher.matches('no key has this secret', null)).toBe(false);
  });
});

describe('API keys', () => {
  let dataSource: DataSource;
  let trail: KeptTrail;
  const service = (): ApiKeysService => new ApiKeysService(dataSource.getRepository(ApiKeyEntity), config, trail);
  const count = (): Promise<number> => dataSource.getRepository(ApiKeyEntity).countBy({});

  beforeAll(async () => {
    dataSource = createDataSource(await createDatabase(), config);
    await dataSource.initialize();
    await dataSource.runMigrations();
  });
  beforeEach(async () => {
    trail = new KeptTrail();
    await dataSource.getRepository(ApiKeyEntity).clear();
  });
  afterAll(() => dataSource.destroy());

  it('two first starts at once make one key, which works', async () => {
    const shown: string[] = [];
    await Promise.all(
      [service(), service(), service()].map((each) =>
        each.createFirstAdminKey(systemContext(), (text) => {
          shown.push(text);
        }),
      ),
    );
    expect([shown.length, await count()]).toEqual([1, 1]);
    expect(await service().authenticate(shown[0] ?? '', 0)).toMatchObject({ subject: 'admin', roles: ['admin'] });
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
  ])('the first key is not there when %s, and the next start makes another', async (_what, prepare, show) => {
    prepare();
    await expect(service().createFirstAdminKey(systemContext(), show)).rejects.toThrow();
    expect(await count()).toBe(0);
    expect(trail.facts.at(-1)).toMatchObject({ action: 'api_key.create', success: false });
    trail.refuses = false;
    const shown: string[] = [];
    await service().createFirstAdminKey(systemContext(), (text) => void shown.push(text));
    expect([shown.length, await count()]).toEqual([1, 1]);
  });
});
