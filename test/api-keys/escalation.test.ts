import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { forged, keys, makeKey, standing, use, wrongFields } from '../support/api-keys.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { type Answer, codeOf, rest } from '../support/rest.js';

const HOUR = 3600 * 1000;
const fromNow = (ms: number): string => new Date(Date.now() + ms).toISOString();
const messageOf = ({ body }: Answer): string => String((body['error'] as { message?: string } | undefined)?.message);
/** Everything that makes keys, and nothing else. */
const KEY_MAKER = ['api_key:create', 'api_key:view', 'api_key:rotate', 'api_key:revoke'];

describe('nobody gets more out of API keys than they have', () => {
  let gateway: TestGateway;
  const alice = token({ jti: 'alice' });
  const bob = token({ sub: 'bob', jti: 'bob' });

  beforeAll(async () => {
    gateway = await TestGateway.start();
    await standing(gateway, alice, 'alice');
    await standing(gateway, bob, 'bob');
  });
  afterAll(() => gateway.remove());

  describe('by making a key', () => {
    it.each([
      ['a user', 'of an administrator', token(), { roles: ['admin'] }, 'pty:list_all'],
      ['a user', 'of an auditor, for one thing', token(), { roles: ['auditor'], scopes: ['audit:read'] }, 'audit:read'],
      [
        'a user',
        'of a role that is one by another name',
        token({ sub: 'auditor', roles: ['auditor'] }),
        { roles: ['readonly'] },
        'api_key:create',
      ],
      [
        'a narrowed token',
        'for what its scopes leave out',
        token({ scope: 'api_key:create pty:view' }),
        { scopes: ['pty:create'] },
        'pty:create',
      ],
      [
        'a narrowed token',
        'for the whole area',
        token({ scope: 'api_key:create pty:view' }),
        { scopes: ['pty:*'] },
        'pty:create',
      ],
      [
        'a token for one session',
        'for every session',
        token({ scope: 'api_key:create pty:view@abc' }),
        { scopes: ['pty:view'] },
        'pty:view',
      ],
      [
        'a token for one session',
        'for another one',
        token({ scope: 'api_key:create pty:view@abc' }),
        { scopes: ['pty:view@abcd'] },
        'pty:view@abcd',
      ],
    ])('%s makes no key %s', async (_who, _what, credential, fields, lacking) => {
      const answer = await keys(gateway, credential, 'POST', '', { name: 'more', ...fields });
      expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
      expect(messageOf(answer)).toContain(lacking);
    });

    it('an operator and a viewer make none at all', async () => {
      for (const role of ['operator', 'viewer']) {
        const answer = await keys(gateway, token({ sub: role, roles: [role] }), 'POST', '', { name: 'x' });
        expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining('api_key:create')]);
      }
    });

    it('a narrowed token that names no scopes makes a key with its own', async () => {
      const narrow = token({ scope: 'openid api_key:create pty:view@abc' });
      expect((await makeKey(gateway, narrow)).body['scopes']).toEqual(['api_key:create', 'pty:view@abc']);
    });

    it('a key makes no key with more than it holds', async () => {
      const { key } = await makeKey(gateway, alice, { scopes: [...KEY_MAKER, 'pty:view'] });
      const answer = await keys(gateway, key, 'POST', '', { name: 'more', scopes: ['pty:input'] });
      expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining('pty:input')]);
      expect((await keys(gateway, key, 'POST', '', { name: 'same', scopes: ['pty:view'] })).status).toBe(201);
    });

    it('a key makes no key that gets rid of its end or its networks', async () => {
      const expires_at = fromNow(HOUR);
      const bounds = { expires_at, allowed_cidrs: ['127.0.0.0/8'] };
      const { key } = await makeKey(gateway, alice, bounds);
      const wider = {
        ...{ expires_at: fromNow(2 * HOUR), allowed_cidrs: ['0.0.0.0/0'] },
        name: 'wider',
      };
      const answer = await keys(gateway, key, 'POST', '', wider);
      expect([answer.status, wrongFields(answer).sort()]).toEqual([422, ['allowed_cidrs.0', 'expires_at']]);
      expect((await makeKey(gateway, key)).body).toMatchObject(bounds);
      const exchanged = await rest(gateway, key, 'POST', '/api/v1/auth/tokens', {});
      const byToken = await keys(gateway, String(exchanged.body['token']), 'POST', '', wider);
      expect([403, 422]).toContain(byToken.status);
    });

    it('only who manages others’ keys makes one for a service, which is worth what the service holds', async () => {
      const fields = { name: 'robot', owner: 'robot', roles: ['user'] };
      expect(codeOf(await keys(gateway, alice, 'POST', '', fields))).toBe('PERMISSION_DENIED');
      const { key, body } = await makeKey(gateway, gateway.adminKey, fields);
      expect(body).toMatchObject({ owner: 'robot', owner_provider: 'gatehouse', created_by: 'admin' });
      expect(await use(gateway, key)).toEqual([403, 'PERMISSION_DENIED']);
      await gateway.query(
        `INSERT INTO role_bindings (id, tenant, role, member_kind, member_provider, member, created_by)
         VALUES (gen_random_uuid(), 'default', 'viewer', 'subject', 'gatehouse', 'robot', 'test')`,
      );
      await until('the binding', async () => (await use(gateway, key))[0] === 200);
      expect(codeOf(await rest(gateway, key, 'POST', '/api/v1/sessions', {}))).toBe('PERMISSION_DENIED');
    });
  });

  describe('by changing a key', () => {
    const narrow = {
      ...{ scopes: ['pty:view@abc', 'pty:input'], allowed_cidrs: ['127.0.0.0/8', 'fd00::/16'] },
      ...{ rate_limit_per_minute: 1000, expires_at: fromNow(HOUR) },
    };
    let id: string;
    beforeAll(async () => {
      ({ id } = await makeKey(gateway, alice, narrow));
    });

    it.each<[string, Record<string, unknown>, string]>([
      ['another scope', { scopes: ['pty:create'] }, 'scopes.0'],
      ['a scope without its resource', { scopes: ['pty:view'] }, 'scopes.0'],
      ['a scope of a resource that begins alike', { scopes: ['pty:view@abcd'] }, 'scopes.0'],
      ['the area on the same resource', { scopes: ['pty:*@abc'] }, 'scopes.0'],
      ['the area', { scopes: ['pty:input', 'pty:*'] }, 'scopes.1'],
      ['a permission that begins alike', { scopes: ['pty:input_any'] }, 'scopes.0'],
      ['a scope in capitals', { scopes: ['PTY:INPUT'] }, 'scopes.0'],
      ['a scope with two resources', { scopes: ['pty:view@abc@def'] }, 'scopes.0'],
      ['no narrowing', { scopes: null }, 'scopes'],
      ['a wider network', { allowed_cidrs: ['127.0.0.0/7'] }, 'allowed_cidrs.0'],
      ['every network', { allowed_cidrs: ['127.0.0.1', '0.0.0.0/0'] }, 'allowed_cidrs.1'],
      ['a network of the other kind', { allowed_cidrs: ['::ffff:0:0/96'] }, 'allowed_cidrs.0'],
      ['a wider one of the other kind', { allowed_cidrs: ['fd00::/15'] }, 'allowed_cidrs.0'],
      ['no networks', { allowed_cidrs: null }, 'allowed_cidrs'],
      ['a higher limit', { rate_limit_per_minute: 1001 }, 'rate_limit_per_minute'],
      ['no limit', { rate_limit_per_minute: null }, 'rate_limit_per_minute'],
      ['a later end', { expires_at: fromNow(2 * HOUR) }, 'expires_at'],
      ['a past end', { expires_at: fromNow(-HOUR) }, 'expires_at'],
      ['no end', { expires_at: null }, 'expires_at'],
      ['roles', { roles: ['admin'] }, '(request)'],
      ['another owner', { owner: 'bob' }, '(request)'],
      ['that it is not revoked', { revoked_at: null }, '(request)'],
    ])('it does not get %s', async (_what, change, field) => {
      const answer = await keys(gateway, alice, 'PATCH', `/${id}`, change);
      expect([answer.status, wrongFields(answer)]).toEqual([422, [field]]);
      expect((await keys(gateway, alice, 'GET', `/${id}`)).body).toMatchObject(narrow);
    });

    it('a revoked key is not revived', async () => {
      const made = await makeKey(gateway, alice);
      await keys(gateway, alice, 'DELETE', `/${made.id}`);
      const changed = await keys(gateway, alice, 'PATCH', `/${made.id}`, { name: 'alive' });
      const rotated = await keys(gateway, alice, 'POST', `/${made.id}/rotate`, {});
      expect([changed, rotated].map((answer) => [answer.status, codeOf(answer)])).toEqual(
        Array(2).fill([409, 'KEY_NOT_ACTIVE']),
      );
      expect(await use(gateway, made.key)).toEqual([401, 'API_KEY_INVALID']);
    });

    it('an expired key is not revived', async () => {
      const made = await makeKey(gateway, alice, { expires_at: fromNow(3000) });
      await until('its end', async () => (await use(gateway, made.key))[0] === 401);
      const changed = await keys(gateway, alice, 'PATCH', `/${made.id}`, { name: 'alive' });
      const rotated = await keys(gateway, alice, 'POST', `/${made.id}/rotate`, { expires_at: fromNow(HOUR) });
      expect([changed, rotated].map(codeOf)).toEqual(['KEY_NOT_ACTIVE', 'KEY_NOT_ACTIVE']);
    });
  });

  describe('by rotating a key', () => {
    it('a rotated key has no second successor, and none once its grace is over', async () => {
      const { id, key } = await makeKey(gateway, alice);
      await keys(gateway, alice, 'POST', `/${id}/rotate`, { grace_seconds: 5 });
      expect(codeOf(await keys(gateway, key, 'POST', `/${id}/rotate`, {}))).toBe('KEY_NOT_ACTIVE');
      await until('the end of its grace', async () => (await use(gateway, key))[0] === 401);
      expect(codeOf(await keys(gateway, key, 'POST', `/${id}/rotate`, {}))).toBe('API_KEY_INVALID');
      expect(codeOf(await keys(gateway, alice, 'POST', `/${id}/rotate`, {}))).toBe('KEY_NOT_ACTIVE');
    });

    it('a narrow key does not take a successor of a wide one', async () => {
      const wide = await makeKey(gateway, alice);
      const narrow = await makeKey(gateway, alice, { scopes: ['api_key:rotate'] });
      const answer = await keys(gateway, narrow.key, 'POST', `/${wide.id}/rotate`, {});
      expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
      expect((await keys(gateway, alice, 'GET', `/${wide.id}`)).body['state']).toBe('active');
    });

    it('a key does not prolong itself, nor take a successor that outlives it; its owner prolongs it', async () => {
      const short = await makeKey(gateway, alice, { expires_at: fromNow(HOUR) });
      const endless = await makeKey(gateway, alice);
      const expires_at = fromNow(2 * HOUR);
      const own = await keys(gateway, short.key, 'POST', `/${short.id}/rotate`, { expires_at });
      const other = await keys(gateway, short.key, 'POST', `/${endless.id}/rotate`, {});
      expect([own, other].map((answer) => [answer.status, wrongFields(answer)[0]])).toEqual(
        Array(2).fill([422, 'expires_at']),
      );
      const byOwner = await keys(gateway, alice, 'POST', `/${short.id}/rotate`, { expires_at });
      expect([byOwner.status, byOwner.body['expires_at']]).toEqual([201, expires_at]);
    });
  });

  describe('by using a key', () => {
    const spoofs = ['x-forwarded-for', 'x-real-ip', 'forwarded', 'true-client-ip', 'cf-connecting-ip'];
    it.each(spoofs)('from an address that only its header %s says it is', async (name) => {
      const { key } = await makeKey(gateway, alice, { allowed_cidrs: ['10.0.0.0/8', '2001:db8::/32'] });
      expect(await use(gateway, key)).toEqual([401, 'API_KEY_INVALID']);
      const value = name === 'forwarded' ? 'for=10.0.0.1' : '10.0.0.1';
      expect(await use(gateway, key, { [name]: value })).toEqual([401, 'API_KEY_INVALID']);
    });

    it('more often than its limit', async () => {
      const { key } = await makeKey(gateway, alice, { rate_limit_per_minute: 2 });
      expect([await use(gateway, key), await use(gateway, key)]).toEqual([[200], [200]]);
      const third = await rest(gateway, key, 'GET', '/api/v1/sessions?limit=1');
      expect([third.status, codeOf(third)]).toEqual([429, 'RATE_LIMIT_EXCEEDED']);
      expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0);
    });

    it.each<[string, (key: string) => string]>([
      ['whose checksum is wrong', (key) => key.slice(0, -1) + (key.endsWith('0') ? '1' : '0')],
      ['with something behind it', (key) => `${key}0`],
      ['that nobody has', (key) => forged(key, (body) => body.replace(/_\w{16}_/, '_0000000000000000_'))],
      ['of another secret', (key) => forged(key, (body) => `${body.slice(0, -4)}0000`)],
      ['of the other prefix', (key) => forged(key, (body) => body.replace('gh_test', 'gh_live'))],
    ])('a key %s', async (_what, change) => {
      const { key } = await makeKey(gateway, alice);
      expect(await use(gateway, key)).toEqual([200]);
      const answer = await rest(gateway, change(key), 'GET', '/api/v1/sessions');
      expect([answer.status, codeOf(answer), messageOf(answer)]).toEqual([
        ...[401, 'API_KEY_INVALID'],
        'The API key is not valid.',
      ]);
      expect(gateway.stdout).not.toContain(change(key));
    });

    it('beyond what its owner holds at present', async () => {
      // Earlier than the next one, by more than a second: times in tokens have no finer step.
      const carol = token({ sub: 'carol', jti: 'carol', iat: Math.floor(Date.now() / 1000) - 5 });
      await standing(gateway, carol, 'carol');
      const { key } = await makeKey(gateway, carol);
      expect(await use(gateway, key)).toEqual([200]);
      await rest(gateway, token({ sub: 'carol', roles: ['auditor'], jti: 'carol2' }), 'GET', '/api/v1/auth/info');
      await until('the loss of the role', async () => (await use(gateway, key))[0] === 403);
    });
  });

  describe('by naming a key of somebody else', () => {
    it.each([
      ['GET', ''],
      ['PATCH', ''],
      ['POST', '/rotate'],
      ['DELETE', ''],
    ])('%s /:id%s finds it no more than one that is not there', async (method, path) => {
      const { id } = await makeKey(gateway, alice);
      const body = method === 'GET' ? undefined : {};
      const ask = (credential: string, which: string): Promise<Answer> =>
        keys(gateway, credential, method, `/${which}${path}`, body);
      const foreignAdmin = token({ sub: 'eve', tenant: 'other', roles: ['admin'] });
      for (const answer of [
        await ask(bob, id),
        await ask(bob, '0000000000000000'),
        await ask(bob, 'no-key-id'),
        await ask(foreignAdmin, id),
      ]) {
        expect([answer.status, codeOf(answer), messageOf(answer)]).toEqual([
          ...[404, 'NOT_FOUND'],
          'There is no such resource.',
        ]);
      }
      expect((await keys(gateway, alice, 'GET', `/${id}`)).body['state']).toBe('active');
    });

    it('an administrator of another tenant lists none of them', async () => {
      const { id } = await makeKey(gateway, alice);
      const foreignAdmin = token({ sub: 'eve', tenant: 'other', roles: ['admin'] });
      const answer = await keys(gateway, foreignAdmin, 'GET', `?cursor=${id}`);
      expect([answer.status, answer.body['items']]).toEqual([200, []]);
    });

    it('an administrator of the tenant revokes it', async () => {
      const { id, key } = await makeKey(gateway, alice);
      const answer = await keys(gateway, gateway.adminKey, 'DELETE', `/${id}`, { reason: 'left' });
      expect(answer.body).toMatchObject({ state: 'revoked', revoked_by: 'admin', revoked_reason: 'left' });
      expect(await use(gateway, key)).toEqual([401, 'API_KEY_INVALID']);
    });
  });
});
