import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { type Answer, codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const claimsOf = (text: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(text).split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

describe('exchanging a credential', () => {
  let gateway: TestGateway;
  let other: TestGateway;
  const admin = token({ sub: 'root', roles: ['admin'], jti: 'root-1', groups: ['staff'], name: 'Root' });
  const alice = token();
  const exchange = (credential: string, body: object = {}): Promise<Answer> =>
    rest(gateway, credential, 'POST', '/api/v1/auth/tokens', body);
  const info = async (credential: string): Promise<Record<string, unknown>> =>
    (await rest(gateway, credential, 'GET', '/api/v1/auth/info')).body;
  const key = async (body: object): Promise<string> =>
    String((await rest(gateway, admin, 'POST', '/api/v1/api-keys', { name: 'k', ...body })).body['key']);

  beforeAll(async () => {
    gateway = await TestGateway.start();
    other = await gateway.sibling();
  });
  afterAll(async () => {
    await other.end();
    await gateway.remove();
  });

  it('says who the caller is and what they may do, whatever the credential', async () => {
    expect(await info(alice)).toMatchObject({
      ...{ subject: 'alice', tenant: 'default', provider: 'gatehouse', kind: 'user', method: 'jwt', roles: ['user'] },
      permissions: expect.arrayContaining(['pty:create', 'api_key:create']) as unknown,
    });
    expect(await info(gateway.adminKey)).toMatchObject({ subject: 'admin', method: 'api_key', kind: 'service' });
    expect((await info(token({ scope: 'pty:view@x' })))['permissions']).toEqual(['pty:view@x']);
    expect((await rest(gateway, null, 'GET', '/api/v1/auth/info')).status).toBe(401);
  });

  it('an administrator gets a short-lived token of their own rights, on record', async () => {
    const answer = await exchange(admin);
    expect(answer.status).toBe(201);
    expect(Object.keys(answer.body).sort()).toEqual(['expires_at', 'jti', 'token']);
    const { iat, exp, jti, sub } = claimsOf(answer.body['token']) as Record<string, number | string>;
    expect([Number(exp) - Number(iat) <= 900, jti, sub]).toEqual([true, answer.body['jti'], 'root']);
    expect(await info(String(answer.body['token']))).toMatchObject({
      ...{ subject: 'root', roles: ['admin'], groups: ['staff'], scopes: null, credential_id: jti },
    });
    const [row] = await gateway.audit({ action: 'auth.token_minted', user_id: 'root', success: true });
    expect(row?.['metadata']).toMatchObject({ jti });
    expect(JSON.stringify(row)).not.toContain(String(answer.body['token']));
  });

  it('it never lasts longer than what it was made from', async () => {
    const exp = Math.floor(Date.now() / 1000) + 100;
    const ending = await exchange(token({ sub: 'root', roles: ['admin'], exp }), { ttl_seconds: 86_400 });
    expect(claimsOf(ending.body['token'])['exp']).toBe(exp);
    const expires_at = new Date((exp + 100) * 1000).toISOString();
    const ofKey = await exchange(await key({ roles: ['user'], expires_at }), { ttl_seconds: 86_400 });
    expect(claimsOf(ofKey.body['token'])['exp']).toBe(exp + 100);
  });

  it('an API key exchanges itself, narrowed as wished, and the token is worth what the key is worth', async () => {
    const made = await key({ roles: ['admin'], scopes: ['pty:*'] });
    const answer = await exchange(made, { scopes: ['pty:view', 'pty:create'], ttl_seconds: 60 });
    expect(answer.status).toBe(201);
    const narrowed = String(answer.body['token']);
    expect(claimsOf(narrowed)).not.toHaveProperty('roles');
    expect((await info(narrowed))['permissions']).toEqual(['pty:create', 'pty:view']);
    expect((await rest(gateway, narrowed, 'GET', '/api/v1/sessions')).status).toBe(200);
    expect((await rest(gateway, narrowed, 'GET', '/api/v1/api-keys')).status).toBe(403);
    const grpc = new GrpcClient(other, narrowed);
    expect(await grpc.call('list', {})).toBeDefined();
    grpc.close();
    // The key loses a scope: so does the token, everywhere.
    const id = made.split('_')[2] ?? '';
    const patched = await rest(gateway, admin, 'PATCH', `/api/v1/api-keys/${id}`, { scopes: ['pty:create'] });
    expect(patched.status).toBe(200);
    for (const each of [gateway, other]) {
      await until(
        'it is known there',
        async () => (await rest(each, narrowed, 'GET', '/api/v1/sessions')).status === 403,
      );
    }
  });

  it.each<[string, () => Promise<string>, object, number, string]>([
    [
      'more than the caller’s scopes',
      () => key({ roles: ['admin'], scopes: ['pty:view'] }),
      { scopes: ['pty:kill'] },
      403,
      'PERMISSION_DENIED',
    ],
    [
      'more than the caller’s roles',
      () => key({ roles: ['user'] }),
      { scopes: ['policy:write'] },
      403,
      'PERMISSION_DENIED',
    ],
    [
      'one resource’s scope for all',
      () => key({ roles: ['admin'], scopes: ['pty:view@a'] }),
      { scopes: ['pty:view'] },
      403,
      'PERMISSION_DENIED',
    ],
    ['a user without the permission', () => Promise.resolve(alice), {}, 403, 'PERMISSION_DENIED'],
    ['a scope that is none', () => Promise.resolve(admin), { scopes: ['pty:attach'] }, 422, 'INVALID_ARGUMENT'],
    ['two scopes in one', () => Promise.resolve(admin), { scopes: ['pty:view pty:kill'] }, 422, 'INVALID_ARGUMENT'],
    ['a life of two days', () => Promise.resolve(admin), { ttl_seconds: 172_800 }, 422, 'INVALID_ARGUMENT'],
    ['a life of nothing', () => Promise.resolve(admin), { ttl_seconds: 0 }, 422, 'INVALID_ARGUMENT'],
    ['a number as text', () => Promise.resolve(admin), { ttl_seconds: '60' }, 422, 'INVALID_ARGUMENT'],
    [
      'scopes that are too long together, though each may be of that length',
      () => key({ roles: ['user'] }),
      {
        scopes: Array.from(
          { length: 16 },
          (_, index) => `pty:view@${String(index).padStart(2, '0')}${'x'.repeat(254)}`,
        ),
      },
      422,
      'INVALID_ARGUMENT',
    ],
    [
      'a token that is past its end and only accepted because clocks differ',
      () => {
        const now = Math.floor(Date.now() / 1000);
        return Promise.resolve(token({ sub: 'root', roles: ['admin'], iat: now - 60, exp: now - 10 }));
      },
      {},
      401,
      'JWT_EXPIRED',
    ],
    ['another’s name', () => Promise.resolve(admin), { subject: 'bob' }, 422, 'INVALID_ARGUMENT'],
  ])('it is refused for %s', async (_what, make, body, status, code) => {
    const answer = await exchange(await make(), body);
    expect([answer.status, codeOf(answer)]).toEqual([status, code]);
  });

  it('what was exchanged once is not exchanged again', async () => {
    for (const credential of [admin, await key({ roles: ['admin'] })]) {
      const first = String((await exchange(credential)).body['token']);
      const again = await exchange(first);
      expect([again.status, codeOf(again)]).toEqual([403, 'PERMISSION_DENIED']);
    }
  });

  describe('for a ticket', () => {
    const ticketOf = async (credential: string): Promise<string> => {
      const answer = await rest(gateway, credential, 'POST', '/api/v1/auth/ws-ticket');
      expect(answer.status).toBe(201);
      return String(answer.body['ticket']);
    };
    const enter = async (at: TestGateway, ticket: string): Promise<WsClient> => {
      const ws = await WsClient.open(at, '/ws');
      ws.send({ type: 'authenticate', token: ticket });
      return ws;
    };

    it('it opens one WebSocket, on any gateway, in the caller’s name and with the caller’s end', async () => {
      const exp = Math.floor(Date.now() / 1000) + 300;
      const ticket = await ticketOf(token({ exp, roles: ['user'] }));
      const ws = await enter(other, ticket);
      const welcome = await ws.next('authenticated');
      expect(welcome).toMatchObject({ user_id: 'alice', expires_at: new Date(exp * 1000).toISOString() });
      const again = await enter(gateway, ticket);
      expect(await again.closes()).toEqual({ code: 4001, reason: 'TOKEN_REPLAYED' });
      expect(await gateway.audit({ action: 'auth.replayed', reason: 'TOKEN_REPLAYED' })).toHaveLength(1);
      expect(ws.closed).toBeNull();
      ws.close();
    });

    it('of several that use it at once one gets in', async () => {
      const ticket = await ticketOf(alice);
      const all = await Promise.all([gateway, other, gateway, other].map((each) => enter(each, ticket)));
      await until('all were answered', () =>
        all.every((ws) => ws.closed !== null || ws.messages.some(({ type }) => type === 'authenticated')),
      );
      expect(all.filter((ws) => ws.closed === null)).toHaveLength(1);
      all.forEach((ws) => {
        ws.close();
      });
    });

    it('it is good for WebSocket only, and not after its time', async () => {
      const ticket = await ticketOf(alice);
      const answer = await rest(gateway, ticket, 'GET', '/api/v1/sessions');
      expect([answer.status, codeOf(answer)]).toEqual([401, 'JWT_INVALID']);
      const grpc = new GrpcClient(gateway, ticket);
      expect(reasonOf(await refused(grpc.call('list', {})))).toBe('JWT_INVALID');
      grpc.close();
      await gateway.query(`UPDATE ws_tickets SET expires_at = now() - interval '1 second'`);
      expect((await (await enter(gateway, ticket)).closes()).reason).toBe('JWT_EXPIRED');
      const invented = `gh_ticket_${'a'.repeat(43)}`;
      expect((await (await enter(gateway, invented)).closes()).reason).toBe('JWT_INVALID');
      expect((await (await enter(gateway, 'gh_ticket_')).closes()).reason).toBe('JWT_INVALID');
    });

    it('its socket goes with the key it was asked for with', async () => {
      const made = await rest(gateway, admin, 'POST', '/api/v1/api-keys', { name: 'page', roles: ['user'] });
      const ws = await enter(gateway, await ticketOf(String(made.body['key'])));
      await ws.next('authenticated');
      await rest(gateway, admin, 'DELETE', `/api/v1/api-keys/${String(made.body['id'])}`, {});
      expect(await ws.closes()).toEqual({ code: 4001, reason: 'TOKEN_REVOKED' });
    });

    it('its socket goes with the token it was asked for with', async () => {
      const mine = token({ sub: 'lena', jti: 'lena-1' });
      const ws = await enter(other, await ticketOf(mine));
      await ws.next('authenticated');
      expect((await rest(gateway, mine, 'POST', '/api/v1/auth/revocations', { jti: 'lena-1' })).status).toBe(201);
      expect(await ws.closes()).toEqual({ code: 4001, reason: 'TOKEN_REVOKED' });
    });

    it('no row keeps what would open a socket', async () => {
      const ticket = await ticketOf(alice);
      expect(JSON.stringify(await gateway.query('SELECT * FROM ws_tickets'))).not.toContain(ticket.slice(10));
      expect(gateway.stdout).not.toContain(ticket.slice(10));
    });

    it('nobody piles them up', async () => {
      const answers = await Promise.all(
        Array.from({ length: 130 }, () => rest(gateway, token({ sub: 'piler' }), 'POST', '/api/v1/auth/ws-ticket')),
      );
      const refusals = answers.filter(({ status }) => status === 429);
      expect(refusals.length).toBeGreaterThan(0);
      expect(refusals[0]?.headers.get('retry-after')).toBe('30');
    });
  });

  it('a session is attached by a ticket’s socket as by any other', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const answer = await rest(gateway, alice, 'POST', '/api/v1/auth/ws-ticket');
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`);
    ws.send({ type: 'authenticate', token: answer.body['ticket'] });
    ws.send({ type: 'input', data: 'hi\n' });
    await ws.sees('hi\r\nhi\r\n');
    ws.close();
  });
});
