import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keys, makeKey, type MadeKey, standing, use } from '../support/api-keys.js';
import { TestGateway, token, until } from '../support/gateway.js';

/** Promised is a second, on a machine that has the time. */
const FORGOTTEN_MS = 10_000;

describe('what one gateway changes of a key, the other has soon forgotten', () => {
  let gateway: TestGateway;
  let other: TestGateway;
  const alice = token({ jti: 'alice' });

  /** A key that both gateways have accepted, and remember. */
  const known = async (fields: Record<string, unknown> = {}): Promise<MadeKey> => {
    const made = await makeKey(gateway, alice, fields);
    for (const each of [gateway, other, gateway, other]) expect(await use(each, made.key)).toEqual([200]);
    return made;
  };
  const bothAnswer = async (key: string, expected: unknown[]): Promise<void> => {
    for (const each of [gateway, other]) {
      await until(
        `the answer ${String(expected)}`,
        async () => JSON.stringify(await use(each, key)) === JSON.stringify(expected),
        FORGOTTEN_MS,
      );
    }
  };

  beforeAll(async () => {
    gateway = await TestGateway.start();
    other = await gateway.sibling();
    await standing(gateway, alice, 'alice');
  });
  afterAll(async () => {
    await other.end();
    await gateway.remove();
  });

  it('a key that was revoked', async () => {
    const { id, key } = await known();
    await keys(other, alice, 'DELETE', `/${id}`);
    await bothAnswer(key, [401, 'API_KEY_INVALID']);
  });

  it('a key that was rotated without grace', async () => {
    const { id, key } = await known();
    await keys(gateway, alice, 'POST', `/${id}/rotate`, { grace_seconds: 0 });
    await bothAnswer(key, [401, 'API_KEY_INVALID']);
  });

  it('a key whose scopes were narrowed', async () => {
    const { id, key } = await known();
    await keys(gateway, alice, 'PATCH', `/${id}`, { scopes: ['pty:create'] });
    await bothAnswer(key, [403, 'PERMISSION_DENIED']);
  });

  it('a key whose networks were narrowed', async () => {
    const { id, key } = await known();
    await keys(other, alice, 'PATCH', `/${id}`, { allowed_cidrs: ['10.0.0.0/8'] });
    await bothAnswer(key, [401, 'API_KEY_INVALID']);
  });

  it.each([
    ['revoked', 'revoked_at = now()', [401, 'API_KEY_INVALID']],
    ['given other roles', `roles = '{auditor}'`, [403, 'PERMISSION_DENIED']],
    ['expired', 'expires_at = now()', [401, 'API_KEY_INVALID']],
    ['given another hash', `key_hash = 'none'`, [401, 'API_KEY_INVALID']],
  ])('a key that was %s by hand', async (_what, change, expected) => {
    const { id, key } = await known();
    await gateway.query(`UPDATE api_keys SET ${change} WHERE id = $1`, [id]);
    await bothAnswer(key, expected);
  });

  it('a key that was removed by hand', async () => {
    const { id, key } = await known();
    await gateway.query('DELETE FROM api_keys WHERE id = $1', [id]);
    await bothAnswer(key, [401, 'API_KEY_INVALID']);
  });

  it('a key whose expiry comes, without anybody saying so', async () => {
    const { key } = await known({ expires_at: new Date(Date.now() + 10_000).toISOString() });
    await until('its end', async () => (await use(gateway, key))[0] === 401, 30_000);
    await bothAnswer(key, [401, 'API_KEY_INVALID']);
  });

  it('a key that expires within a week is on record once, whoever notes it', async () => {
    const { id } = await makeKey(gateway, alice, {
      expires_at: new Date(Date.now() + 3 * 24 * 3_600_000).toISOString(),
    });
    // Each looks when it starts.
    const [third, fourth] = await Promise.all([gateway.sibling(), gateway.sibling()]);
    expect(await gateway.audit({ action: 'api_key.expiring', resource: `api_key:${id}` })).toMatchObject([
      { level: 'warn', tenant: 'default', metadata: { name: 'a key' } },
    ]);
    await third.end();
    await fourth.end();
    expect(await gateway.audit({ action: 'api_key.expiring', resource: `api_key:${id}` })).toHaveLength(1);
  });

  it('the use of a key is on record when its gateway has stopped', async () => {
    const { id, key } = await makeKey(gateway, alice);
    const third = await gateway.sibling();
    expect(await use(third, key)).toEqual([200]);
    await third.end();
    expect(await gateway.query('SELECT use_count FROM api_keys WHERE id = $1', [id])).toEqual([{ use_count: '1' }]);
  });
});
