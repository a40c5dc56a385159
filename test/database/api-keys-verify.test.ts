import '../support/nest-first.js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PinoLogger } from 'nestjs-pino';
import { Client } from 'pg';
import type { DataSource, EntityManager } from 'typeorm';
import { ApiKeyEntity } from '../../src/api-keys/api-key.entity.js';
import { ApiKeysService } from '../../src/api-keys/api-keys.service.js';
import { KeyRecords } from '../../src/api-keys/key-records.js';
import { KeyUsage, MAX_PENDING } from '../../src/api-keys/key-usage.js';
import { KeyVerifier } from '../../src/api-keys/key-verifier.js';
import { KeyedVerifier, verifierKeys } from '../../src/api-keys/keyed-verifier.js';
import { newKey } from '../../src/api-keys/new-key.js';
import { SecretHasher } from '../../src/api-keys/secret-hasher.js';
import type { Standings } from '../../src/authorization/standings.js';
import { type Config, loadConfig } from '../../src/config/load.js';
import { applicationRole } from '../../src/database/application-role.js';
import { createDataSource } from '../../src/database/data-source.js';
import type { ChangeListener, SecurityChange, SecurityFeed, SecurityTopic } from '../../src/database/security-feed.js';
import { TenantScope } from '../../src/database/tenant-scope.js';
import type { Restraint } from '../../src/kernel/authenticator.js';
import { DomainError } from '../../src/kernel/errors.js';
import { forged } from '../support/api-keys.js';
import { createDatabase, pause } from '../support/gateway.js';

const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: 'x'.repeat(32) });
const ADDRESS = '192.0.2.7';
const logger = { warn: () => undefined } as unknown as PinoLogger;

/** bcrypt, counted. */
class CountedHasher extends SecretHasher {
  checks = 0;
  /** What the last check compared with. */
  stored: string | null | undefined;
  override matches(secret: string, stored: string | null): Promise<boolean> {
    this.checks += 1;
    this.stored = stored;
    return super.matches(secret, stored);
  }
}

/** The database, counted and switched off. */
class CountedScope extends TenantScope {
  looks = 0;
  away = false;
  override system<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    this.looks += 1;
    return this.away ? Promise.reject(new Error('the database is away')) : super.system(work);
  }
}

/** What the feed would tell, told by the test. */
class ToldFeed {
  readonly #listeners = new Map<SecurityTopic, ChangeListener>();
  on(topic: SecurityTopic, listener: ChangeListener): void {
    this.#listeners.set(topic, listener);
  }
  onReset(): void {}
  async tell(topic: SecurityTopic, change: SecurityChange): Promise<void> {
    await this.#listeners.get(topic)?.([change], () => Promise.reject(new Error('nothing is read here')));
  }
}

/** One gateway's keys, as after a start. */
function gatewayOn(dataSource: DataSource, secrets: readonly string[], changed: Partial<Config> = {}) {
  const scope = new CountedScope(dataSource);
  const feed = new ToldFeed();
  const hasher = new CountedHasher(4);
  const owner = { roles: ['user'], groups: [] };
  const standings = { of: () => Promise.resolve(owner), onRemapped: () => undefined } as unknown as Standings;
  const usage = new KeyUsage(scope, logger);
  const records = new KeyRecords(scope, feed as unknown as SecurityFeed, { ...config, ...changed });
  const verifier = new KeyVerifier(records, hasher, new KeyedVerifier(verifierKeys(secrets)), usage);
  const time = { now: Date.now() };
  const clock = { now: () => time.now, microseconds: () => 0n };
  const service = new ApiKeysService(records, verifier, usage, standings, clock);
  const authenticate = (text: string, restraint?: Restraint) =>
    service.authenticate(text, ADDRESS, time.now, restraint);
  return { scope, feed, hasher, usage, records, service, time, authenticate };
}

describe('an API key is verified', () => {
  let databaseUrl: string;
  let dataSource: DataSource;
  let text: string;
  let id: string;
  const start = (secrets: readonly string[] = ['one'], changed: Partial<Config> = {}) =>
    gatewayOn(dataSource, secrets, changed);
  const change = (changes: Partial<ApiKeyEntity>) => dataSource.getRepository(ApiKeyEntity).update({ id }, changes);
  const stored = () => dataSource.getRepository(ApiKeyEntity).findOneByOrFail({ id });

  beforeAll(async () => {
    databaseUrl = await createDatabase();
    dataSource = createDataSource(databaseUrl, config);
    await dataSource.initialize();
    await dataSource.runMigrations();
  });
  beforeEach(async () => {
    const made = await newKey(new SecretHasher(4), 'gh_test', {
      ...{ tenant: 'default', name: 'a key', description: '', ownerProvider: 'gatehouse', ownerSubject: 'alice' },
      ...{ createdByProvider: 'gatehouse', createdBy: 'alice', roles: ['user'], scopes: null, allowedCidrs: null },
      ...{ rateLimitPerMinute: null, expiresAt: null, createdAt: new Date() },
    });
    await dataSource.getRepository(ApiKeyEntity).insert(made.row);
    [text, id] = [made.text, made.row.id];
  });
  afterAll(() => dataSource.destroy());

  it('by bcrypt once; afterwards neither bcrypt nor the database is asked', async () => {
    const { authenticate, hasher, scope } = start();
    const { principal } = await authenticate(text);
    expect(principal).toMatchObject({ subject: 'alice', keyId: id, owner: { roles: ['user'] }, method: 'api_key' });
    const looks = scope.looks;
    for (let uses = 0; uses < 5; uses += 1) expect((await authenticate(text)).principal).toBe(principal);
    expect([hasher.checks, scope.looks]).toEqual([1, looks]);
  });

  it('by one bcrypt for a burst', async () => {
    const { authenticate, hasher } = start();
    await Promise.all(Array.from({ length: 200 }, () => authenticate(text)));
    expect(hasher.checks).toBe(1);
  });

  it('for each by what they may cost: what one is refused for is told to nobody who came meanwhile', async () => {
    const { authenticate, hasher } = start();
    const closed = new DomainError('RATE_LIMIT_EXCEEDED', 'Not from there.');
    const beforeHash = (): never => {
      throw closed;
    };
    const there = { beforeLook: () => undefined, beforeHash };
    const outcomes = await Promise.allSettled([there, undefined, there, undefined].map((by) => authenticate(text, by)));
    // Whoever waits for a check that goes well is answered by it.
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', ...Array<string>(3).fill('fulfilled')]);
    expect([outcomes[0], hasher.checks]).toMatchObject([{ reason: closed }, 1]);
  });

  it('without bcrypt after a restart, by the verifier that was written with its use', async () => {
    const before = start();
    await before.authenticate(text);
    await before.usage.flush();
    const after = start();
    await after.authenticate(text);
    expect(after.hasher.checks).toBe(0);
    const { verifier, verifierKey, useCount } = await stored();
    expect([verifier?.length, verifierKey?.length, useCount]).toEqual([44, 8, '1']);
  });

  it('without bcrypt while signing secrets are rotated, and its verifier moves to the new one', async () => {
    const before = start(['one']);
    await before.authenticate(text);
    await before.usage.flush();
    const during = start(['two', 'one']);
    await during.authenticate(text);
    await during.usage.flush();
    const after = start(['two']);
    await after.authenticate(text);
    expect([during.hasher.checks, after.hasher.checks]).toEqual([0, 0]);
  });

  it('by bcrypt where the verifier is of an unknown secret, which is then replaced', async () => {
    const before = start(['one']);
    await before.authenticate(text);
    await before.usage.flush();
    const { verifier } = await stored();
    const after = start(['two']);
    await after.authenticate(text);
    await after.usage.flush();
    expect(after.hasher.checks).toBe(1);
    expect((await stored()).verifier).not.toBe(verifier);
  });

  it('and a verifier does not outlive the hash it was made for', async () => {
    const before = start();
    await before.authenticate(text);
    await before.usage.flush();
    await change({ keyHash: await new SecretHasher(4).hash('another secret') });
    const after = start();
    await expect(after.authenticate(text)).rejects.toMatchObject({ code: 'API_KEY_INVALID', reason: 'secret' });
  });

  it('and refused for a wrong secret and an unknown id with the same work: one look and one bcrypt', async () => {
    const { authenticate, hasher, scope, usage } = start();
    await authenticate(text);
    await usage.flush();
    const unknown = forged(text, (body) => body.replace(id, '0000000000000000'));
    const wrong = forged(text, (body) => `${body.slice(0, -4)}0000`);
    const costs: unknown[] = [];
    for (const [attempt, reason] of [
      [unknown, 'unknown'],
      [wrong, 'secret'],
    ] as const) {
      const before = [hasher.checks, scope.looks] as const;
      await expect(authenticate(attempt)).rejects.toMatchObject({ code: 'API_KEY_INVALID', reason });
      costs.push([hasher.checks - before[0], scope.looks - before[1]]);
    }
    expect(costs).toEqual([
      [1, 1],
      [1, 1],
    ]);
    // And whoever guesses makes nobody forget the right one.
    await authenticate(text);
    expect(hasher.checks).toBe(3);
  });

  it('and refused for a wrong secret with the work of today’s cost, though the key was made at another', async () => {
    const first = start();
    await first.authenticate(text);
    await first.usage.flush();
    const { authenticate, hasher } = start();
    const wrong = forged(text, (body) => `${body.slice(0, -4)}0000`);
    await expect(authenticate(wrong)).rejects.toMatchObject({ code: 'API_KEY_INVALID', reason: 'secret' });
    // The decoy of an unknown id, not the hash of the row.
    expect([hasher.checks, hasher.stored]).toEqual([1, null]);
  });

  it('and refused without any work when it is malformed', async () => {
    const { authenticate, hasher, scope } = start();
    for (const wrong of ['gh_test_', `${text}0`, text.slice(0, -1), text.toUpperCase(), ` ${text}`]) {
      await expect(authenticate(wrong)).rejects.toMatchObject({ code: 'API_KEY_INVALID', reason: 'malformed' });
    }
    expect([hasher.checks, scope.looks]).toEqual([0, 0]);
  });

  it.each<[string, string, Partial<ApiKeyEntity>]>([
    ['is of the other prefix', 'prefix', { prefix: 'gh_live' }],
    ['was revoked', 'revoked', { revokedAt: new Date() }],
    ['has expired', 'expired', { expiresAt: new Date(0) }],
    ['is bound to other addresses', 'address', { allowedCidrs: ['10.0.0.0/8', '2001:db8::/32'] }],
  ])('and refused when it %s', async (_what, reason, changes) => {
    await change(changes);
    await expect(start().authenticate(text)).rejects.toMatchObject({ code: 'API_KEY_INVALID', reason });
  });

  it('and refused when its grace is over', async () => {
    await change({ rotatedTo: id, graceUntil: new Date(Date.now() + 5000) });
    const { authenticate, time } = start();
    expect((await authenticate(text)).graceUntil).not.toBeNull();
    time.now += 5000;
    await expect(authenticate(text)).rejects.toMatchObject({ reason: 'grace_over' });
  });

  it('and an open stream hears of its end, of what was narrowed and of what its owner lost', async () => {
    const { service, feed, time } = start();
    const accepted = await service.authenticate(text, ADDRESS, time.now);
    const first = accepted.principal;
    expect(accepted.revalidate()).toBe(first);
    await feed.tell('api_key', { tenant: 'default', key: id });
    // The same as before: the same object, so that nobody decides anew.
    expect(await accepted.revalidate()).toBe(first);
    await change({ scopes: ['pty:view'], expiresAt: new Date(time.now + 5000) });
    await feed.tell('api_key', { tenant: 'default', key: id });
    expect(await accepted.revalidate()).toMatchObject({ scopes: ['pty:view'] });
    await feed.tell('subject', { tenant: 'default', key: '["default", "gatehouse", "alice"]' });
    expect(accepted.revalidate()).toBeInstanceOf(Promise);
    await accepted.revalidate();
    time.now += 5000;
    expect(() => accepted.revalidate()).toThrow('The API key is not valid.');
  });

  it('from memory while the database is away, for as long as is allowed and no longer', async () => {
    const { authenticate, scope, records } = start(['one'], { AUTH_STATE_MAX_AGE_SECONDS: 1 });
    await authenticate(text);
    scope.away = true;
    await authenticate(text);
    while (records.peek(id) !== undefined) await pause(50);
    await expect(authenticate(text)).rejects.toThrow('the database is away');
    scope.away = false;
    await authenticate(text);
  });

  it('for a token made from it, in its own tenant only', async () => {
    const { service, time } = start();
    expect((await service.behind(id, 'default', ADDRESS, time.now)).principal.keyId).toBe(id);
    for (const [key, tenant] of [
      [id, 'other'],
      ['0000000000000000', 'default'],
    ] as const) {
      await expect(service.behind(key, tenant, ADDRESS, time.now)).rejects.toMatchObject({ reason: 'unknown' });
    }
  });

  it('and a change that is told while it is being looked up is not missed', async () => {
    const { records, feed } = start();
    const look = records.look(id);
    await feed.tell('api_key', { tenant: 'default', key: id });
    await look;
    expect(records.peek(id)).toBeUndefined();
  });

  it('and its use is written when the database is back, each counted once', async () => {
    const { authenticate, scope, usage } = start();
    await authenticate(text);
    scope.away = true;
    await usage.flush();
    await authenticate(text);
    scope.away = false;
    await usage.flush();
    await usage.flush();
    const { useCount, lastUsedIp } = await stored();
    expect([useCount, lastUsedIp]).toEqual(['2', ADDRESS]);
  });

  it('and no more keys wait to be written than there is room for', async () => {
    const { usage, scope } = start();
    scope.away = true;
    for (let index = 0; index <= MAX_PENDING; index += 1) usage.note(String(index), ADDRESS, 0);
    usage.note(id, ADDRESS, 0);
    scope.away = false;
    await usage.flush();
    expect((await stored()).useCount).toBe('0');
  });

  it('and found by the primary key among 10,000, under the role that the gateway has', async () => {
    await dataSource.query(`
      INSERT INTO api_keys (id, tenant, name, owner_provider, owner_subject, created_by_provider, created_by, key_hash,
        prefix, roles)
      SELECT lpad(n::text, 16, '0'), 'tenant ' || n % 10, 'x', 'gatehouse', 'x', 'gatehouse', 'x', 'x', 'gh_test', '{}'
      FROM generate_series(1, 10000) AS n`);
    await dataSource.query('ANALYZE api_keys');
    const client = new Client({ connectionString: databaseUrl });
    await client.connect();
    const role = await applicationRole(client);
    const [sql, parameters] = dataSource
      .getRepository(ApiKeyEntity)
      .createQueryBuilder('key')
      .setFindOptions({ where: { id } })
      .getQueryAndParameters();
    await client.query(`BEGIN; SET LOCAL ROLE ${String(role)}; SELECT set_config('gatehouse.scope', 'system', true)`);
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`, parameters);
    await client.end();
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toContain('Index Scan using api_keys_pkey');
    expect(plan).not.toContain('Seq Scan');
  });
});
