import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keys, makeKey, standing, use, wrongFields } from '../support/api-keys.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { codeOf, rest } from '../support/rest.js';

const DAY = 24 * 3600 * 1000;
const fromNow = (ms: number): string => new Date(Date.now() + ms).toISOString();

describe('the life of an API key', () => {
  let gateway: TestGateway;
  const alice = token({ jti: 'alice' });
  const bob = token({ sub: 'bob', jti: 'bob' });

  beforeAll(async () => {
    gateway = await TestGateway.start();
    await standing(gateway, alice, 'alice');
    await standing(gateway, bob, 'bob');
  });
  afterAll(() => gateway.remove());

  it('is created, and its text is shown in that one answer only', async () => {
    const { id, key, body } = await makeKey(gateway, alice, { name: 'deploy', description: 'from the pipeline' });
    expect(key).toMatch(new RegExp(`^gh_test_${id}_[0-9A-Za-z]{49}$`));
    expect(body).toMatchObject({
      ...{ name: 'deploy', description: 'from the pipeline', owner: 'alice', owner_provider: 'gatehouse' },
      ...{ tenant: 'default', created_by: 'alice', display: `gh_test_${id}_****${key.slice(-4)}`, roles: ['user'] },
      ...{ scopes: null, allowed_cidrs: null, rate_limit_per_minute: null, state: 'active', expiring: false },
      ...{ unused: false, expires_at: null, last_used_at: null, last_used_ip: null, use_count: 0, revoked_at: null },
      ...{ revoked_by: null, revoked_reason: null, rotated_from: null, rotated_to: null, grace_until: null },
    });
    const [row] = await gateway.query('SELECT * FROM api_keys WHERE id = $1', [id]);
    const secret = key.slice(-49, -6);
    for (const path of ['', `/${id}`]) {
      const { text } = await keys(gateway, alice, 'GET', path);
      expect(text).toContain(id);
      for (const hidden of [secret, String(row?.['key_hash']), 'key_hash', 'verifier'])
        expect(text).not.toContain(hidden);
    }
    expect(JSON.stringify(row)).not.toContain(secret);
    const [event] = await gateway.audit({ action: 'api_key.create', resource: `api_key:${id}` });
    expect(event).toMatchObject({ success: true, user_id: 'alice' });
    expect(gateway.stdout).not.toContain(secret);
  });

  it('is used on behalf of its owner', async () => {
    const { key } = await makeKey(gateway, alice);
    const session = await rest(gateway, key, 'POST', '/api/v1/sessions', { command: ['/bin/cat'] });
    expect([session.status, session.body['owner']]).toEqual([201, 'alice']);
    expect((await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${String(session.body['id'])}`)).status).toBe(200);
  });

  it('shows when, from where and how often it was used, a few seconds later', async () => {
    const { id, key } = await makeKey(gateway, alice);
    for (let uses = 0; uses < 3; uses += 1) expect(await use(gateway, key)).toEqual([200]);
    await until(
      'its use is written',
      async () => (await keys(gateway, alice, 'GET', `/${id}`)).body['use_count'] === 3,
    );
    const { body } = await keys(gateway, alice, 'GET', `/${id}`);
    expect(body['last_used_ip']).toBe('127.0.0.1');
    expect(Math.abs(Date.parse(String(body['last_used_at'])) - Date.now())).toBeLessThan(60_000);
  });

  it('is narrowed: name, description, scopes, networks, limit and end', async () => {
    const { id, key } = await makeKey(gateway, alice);
    const narrowed = {
      ...{ name: 'narrow', description: 'less', scopes: ['pty:*'], allowed_cidrs: ['127.0.0.0/8'] },
      ...{ rate_limit_per_minute: 100, expires_at: fromNow(10 * DAY) },
    };
    expect((await keys(gateway, alice, 'PATCH', `/${id}`, narrowed)).body).toMatchObject(narrowed);
    const further = {
      ...{ scopes: ['pty:view'], allowed_cidrs: ['127.0.0.1'], rate_limit_per_minute: 50 },
      expires_at: fromNow(5 * DAY),
    };
    const answer = await keys(gateway, alice, 'PATCH', `/${id}`, further);
    expect(answer.body).toMatchObject({ name: 'narrow', ...further, expiring: true });
    expect(await use(gateway, key)).toEqual([200]);
    expect(codeOf(await rest(gateway, key, 'POST', '/api/v1/sessions', {}))).toBe('PERMISSION_DENIED');
    expect(await gateway.audit({ action: 'api_key.update', resource: `api_key:${id}` }, 2)).toHaveLength(2);
  });

  it('is rotated: both work during the grace, and the old one says when it ends', async () => {
    const fields = { name: 'old', scopes: ['pty:view'], allowed_cidrs: ['127.0.0.1'], expires_at: fromNow(30 * DAY) };
    const { id, key, body } = await makeKey(gateway, alice, fields);
    const rotated = await keys(gateway, alice, 'POST', `/${id}/rotate`, {});
    expect(rotated.status).toBe(201);
    const successor = rotated.body;
    expect(successor).toMatchObject({
      ...fields,
      rotated_from: id,
      roles: body['roles'],
      expires_at: body['expires_at'],
    });
    expect(successor['key']).not.toBe(key);
    expect(await use(gateway, String(successor['key']))).toEqual([200]);
    const inGrace = await rest(gateway, key, 'GET', '/api/v1/sessions');
    expect([
      inGrace.status,
      (await rest(gateway, alice, 'GET', '/api/v1/sessions')).headers.has('x-api-key-rotated'),
    ]).toEqual([200, false]);
    const old = (await keys(gateway, alice, 'GET', `/${id}`)).body;
    expect(old).toMatchObject({ state: 'rotated', rotated_to: successor['id'] });
    expect(inGrace.headers.get('x-api-key-rotated')).toBe(old['grace_until']);
    expect(Math.abs(Date.parse(String(old['grace_until'])) - Date.now() - DAY)).toBeLessThan(60_000);
    const [event] = await gateway.audit({ action: 'api_key.rotate', resource: `api_key:${id}` });
    expect(event).toMatchObject({ success: true });
  });

  it('is rotated without grace: the old one ends at once', async () => {
    const { id, key } = await makeKey(gateway, alice);
    expect(await use(gateway, key)).toEqual([200]);
    expect((await keys(gateway, alice, 'POST', `/${id}/rotate`, { grace_seconds: 0 })).status).toBe(201);
    expect(await use(gateway, key)).toEqual([401, 'API_KEY_INVALID']);
  });

  it('two rotations at once make one successor', async () => {
    const { id } = await makeKey(gateway, alice);
    const answers = await Promise.all([1, 2, 3].map(() => keys(gateway, alice, 'POST', `/${id}/rotate`, {})));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409]);
    expect(answers.map(codeOf).filter((code) => code !== undefined)).toEqual(['KEY_NOT_ACTIVE', 'KEY_NOT_ACTIVE']);
    expect(await gateway.query('SELECT 1 FROM api_keys WHERE rotated_from = $1', [id])).toHaveLength(1);
  });

  it('expires', async () => {
    const { id, key } = await makeKey(gateway, alice, { expires_at: fromNow(8000) });
    expect(await use(gateway, key)).toEqual([200]);
    await until('its end', async () => (await use(gateway, key))[0] === 401);
    expect((await keys(gateway, alice, 'GET', `/${id}`)).body['state']).toBe('expired');
  });

  it('is revoked once: a second time changes nothing and the first reason stays', async () => {
    const { id, key } = await makeKey(gateway, alice);
    expect(await use(gateway, key)).toEqual([200]);
    const first = await keys(gateway, alice, 'DELETE', `/${id}`, { reason: 'leaked' });
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ state: 'revoked', revoked_by: 'alice', revoked_reason: 'leaked' });
    expect(await use(gateway, key)).toEqual([401, 'API_KEY_INVALID']);
    const second = await keys(gateway, alice, 'DELETE', `/${id}`);
    expect([second.status, second.body['revoked_reason'], second.body['revoked_at']]).toEqual([
      200,
      'leaked',
      first.body['revoked_at'],
    ]);
    expect(await gateway.query('SELECT 1 FROM api_keys WHERE id = $1', [id])).toHaveLength(1);
  });

  it('is listed page by page, newest first, one’s own only, and by state', async () => {
    const owner = token({ sub: 'lister', jti: 'lister' });
    const made: string[] = [];
    for (const name of ['one', 'two', 'three']) made.unshift((await makeKey(gateway, owner, { name })).id);
    await makeKey(gateway, bob);
    await keys(gateway, owner, 'DELETE', `/${String(made[1])}`);
    const first = (await keys(gateway, owner, 'GET', '?limit=2')).body;
    const second = (await keys(gateway, owner, 'GET', `?limit=2&cursor=${String(first['next_cursor'])}`)).body;
    const ids = [first, second].flatMap(({ items }) => (items as { id: string }[]).map(({ id }) => id));
    expect([ids, second['next_cursor']]).toEqual([made, null]);
    const idsOf = async (query: string): Promise<string[]> =>
      ((await keys(gateway, owner, 'GET', query)).body['items'] as { id: string }[]).map(({ id }) => id);
    expect(await idsOf('?state=revoked')).toEqual([made[1]]);
    expect(await idsOf('?state=active')).toEqual([made[0], made[2]]);
    expect(await idsOf('?owner=bob')).toEqual([]);
  });

  it('is listed by those who may list all, by owner and by what expires', async () => {
    const soon = await makeKey(gateway, bob, { name: 'soon', expires_at: fromNow(6 * DAY) });
    const later = await makeKey(gateway, bob, { name: 'later', expires_at: fromNow(8 * DAY) });
    const idsOf = async (query: string): Promise<string[]> =>
      ((await keys(gateway, gateway.adminKey, 'GET', query)).body['items'] as { id: string }[]).map(({ id }) => id);
    expect(await idsOf('?owner=bob&expiring=true')).toEqual([soon.id]);
    expect(await idsOf('?owner=bob&expiring=false')).toContain(later.id);
    expect((await keys(gateway, alice, 'GET', '?expiring=true')).text).not.toContain(soon.id);
  });

  it('says that it was not used for long', async () => {
    const { id } = await makeKey(gateway, alice);
    await gateway.query(`UPDATE api_keys SET created_at = now() - interval '91 days' WHERE id = $1`, [id]);
    expect((await keys(gateway, alice, 'GET', `/${id}`)).body).toMatchObject({ unused: true, state: 'active' });
  });

  it('is made once for one Idempotency-Key, and the repeat says so without the secret', async () => {
    const headers = { 'idempotency-key': 'pipeline 7' };
    const answers = await Promise.all([1, 2, 3].map(() => keys(gateway, alice, 'POST', '', { name: 'once' }, headers)));
    const made = answers.filter(({ status }) => status === 201);
    const repeats = answers.filter(({ status }) => status === 200);
    expect([made.length, repeats.length]).toEqual([1, 2]);
    for (const { body } of repeats) {
      expect(body).toMatchObject({ id: made[0]?.body['id'], idempotent_replay: true });
      expect(body).not.toHaveProperty('key');
    }
    const other = await keys(gateway, alice, 'POST', '', { name: 'twice' }, headers);
    expect([other.status, codeOf(other)]).toEqual([409, 'IDEMPOTENCY_CONFLICT']);
    // Somebody else's is another.
    expect((await keys(gateway, bob, 'POST', '', { name: 'once' }, headers)).status).toBe(201);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['no name', {}, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a name too long', { name: 'x'.repeat(101) }, 'name'],
    ['a control character in the name', { name: 'a\nb' }, 'name'],
    ['a description too long', { name: 'x', description: 'x'.repeat(1001) }, 'description'],
    ['an unknown field', { name: 'x', powers: 'all' }, '(request)'],
    ['an unknown role', { name: 'x', roles: ['superuser'] }, 'roles.0'],
    ['no roles at all', { name: 'x', roles: [] }, 'roles'],
    ['more roles than there may be', { name: 'x', roles: Array(33).fill('user') }, 'roles'],
    ['an unknown scope', { name: 'x', scopes: ['pty:view', 'pty:fly'] }, 'scopes.1'],
    ['a scope for everything', { name: 'x', scopes: ['*'] }, 'scopes.0'],
    ['an unknown area', { name: 'x', scopes: ['root:*'] }, 'scopes.0'],
    ['a scope on nothing', { name: 'x', scopes: ['pty:view@'] }, 'scopes.0'],
    ['a scope with a space', { name: 'x', scopes: ['pty:view '] }, 'scopes.0'],
    ['more scopes than there may be', { name: 'x', scopes: Array(65).fill('pty:view') }, 'scopes'],
    ['a network that is none', { name: 'x', allowed_cidrs: ['10.0.0.0/33'] }, 'allowed_cidrs.0'],
    ['no networks at all', { name: 'x', allowed_cidrs: [] }, 'allowed_cidrs'],
    ['a limit of nothing', { name: 'x', rate_limit_per_minute: 0 }, 'rate_limit_per_minute'],
    ['a past end', { name: 'x', expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
    ['an end that is no time', { name: 'x', expires_at: 'tomorrow' }, 'expires_at'],
    ['an end without a zone', { name: 'x', expires_at: '2099-01-01T00:00:00' }, 'expires_at'],
    ['an end beyond what is allowed', { name: 'x', expires_at: '9999-01-01T00:00:00Z' }, 'expires_at'],
  ])('is not made with %s', async (_what, body, field) => {
    const answer = await keys(gateway, alice, 'POST', '', body);
    expect([answer.status, codeOf(answer), wrongFields(answer)[0]]).toEqual([422, 'INVALID_ARGUMENT', field]);
  });

  it.each([
    ['too long', 'x'.repeat(129)],
    ['of other characters', 'schl\u00fcssel'],
  ])('is not made with an Idempotency-Key that is %s', async (_what, name) => {
    const answer = await keys(gateway, alice, 'POST', '', { name: 'x' }, { 'idempotency-key': name });
    expect([answer.status, wrongFields(answer)]).toEqual([422, ['Idempotency-Key']]);
  });

  it.each<[string, string, unknown, string]>([
    ['grace of more than 30 days', 'POST', { grace_seconds: 30 * 24 * 3600 + 1 }, 'grace_seconds'],
    ['negative grace', 'POST', { grace_seconds: -1 }, 'grace_seconds'],
    ['a past end', 'POST', { expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
    ['a reason too long', 'DELETE', { reason: 'x'.repeat(201) }, 'reason'],
  ])('refuses %s', async (_what, method, body, field) => {
    const { id } = await makeKey(gateway, alice);
    const answer = await keys(gateway, alice, method, method === 'POST' ? `/${id}/rotate` : `/${id}`, body);
    expect([answer.status, wrongFields(answer)]).toEqual([422, [field]]);
  });
});

describe('where keys live for 30 days at most, behind a proxy', () => {
  let gateway: TestGateway;
  const alice = token({ jti: 'alice' });

  beforeAll(async () => {
    gateway = await TestGateway.start({ API_KEY_MAX_LIFETIME_DAYS: '30', TRUSTED_PROXIES: '127.0.0.1' });
    await standing(gateway, alice, 'alice');
  });
  afterAll(() => gateway.remove());

  it('a key that names no end has one, and its successor too', async () => {
    const { id, body } = await makeKey(gateway, alice);
    const days = (of: Record<string, unknown>): number => (Date.parse(String(of['expires_at'])) - Date.now()) / DAY;
    expect(days(body)).toBeCloseTo(30, 1);
    await gateway.query('UPDATE api_keys SET expires_at = NULL WHERE id = $1', [id]);
    expect(days((await keys(gateway, alice, 'POST', `/${id}/rotate`, {})).body)).toBeCloseTo(30, 1);
  });

  it('a key that would live longer is not made', async () => {
    const answer = await keys(gateway, alice, 'POST', '', { name: 'x', expires_at: fromNow(31 * DAY) });
    expect([answer.status, wrongFields(answer)]).toEqual([422, ['expires_at']]);
  });

  it('a key is bound to the address that the proxy was called from, not to what its client says', async () => {
    const { id, key } = await makeKey(gateway, alice, { allowed_cidrs: ['10.0.0.0/8', '2001:db8::/32'] });
    const from = (hops: string): Promise<unknown[]> => use(gateway, key, { 'x-forwarded-for': hops });
    for (const good of ['10.1.2.3', '192.0.2.1, 10.1.2.3', '::ffff:10.1.2.3', '2001:db8::7']) {
      expect([good, await from(good)]).toEqual([good, [200]]);
    }
    for (const bad of ['192.0.2.1', '10.1.2.3, 192.0.2.1', '10.1.2.3, nonsense', '2001:db9::7', '127.0.0.1']) {
      expect([bad, await from(bad)]).toEqual([bad, [401, 'API_KEY_INVALID']]);
    }
    await until('its use is written', async () => {
      const { body } = await keys(gateway, alice, 'GET', `/${id}`);
      return body['last_used_ip'] === '2001:db8::7';
    });
  });
});
