import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { waitingFor, whileLocked } from '../support/locks.js';
import { Terminals } from '../support/terminals.js';
import { WsClient } from '../support/ws-client.js';

const POLICY = 'permissions.yaml';
const AUTH = 'auth.yaml';
const subject = (name: string) => ({ kind: 'subject', provider: 'gatehouse', name });
/** What WebSocket and gRPC say on both gateways, in the order of {@link Terminals.closed}. */
const everywhere = (ws: number, grpc: number, reason: string): object[] => [
  { code: ws, reason },
  { code: ws, reason },
  { code: grpc, reason },
  { code: grpc, reason },
];
const issuedIn = (seconds: number): Record<string, number> => {
  const iat = Math.floor(Date.now() / 1000) + seconds;
  return { iat, exp: iat + 600 };
};

describe('taking a right back closes the live terminals that rest on it, on every gateway', () => {
  let gateway: TestGateway;
  let other: TestGateway;
  let gateways: TestGateway[];
  let session: string;
  const alice = token({ jti: 'alice-main' });
  const admin = token({ sub: 'root', roles: ['admin'] });
  const post = (path: string, body: object, credential = admin) =>
    rest(gateway, credential, 'POST', `/api/v1${path}`, body);
  const configure = (name: string, text: string): void => {
    writeFileSync(join(gateway.dataDir, '..', name), text);
  };
  let mine: Terminals;

  beforeAll(async () => {
    gateway = await TestGateway.start({ POLICY_CONFIG: POLICY, AUTH_CONFIG: AUTH, SESSIONS_PER_USER: '50' });
    other = await gateway.sibling();
    gateways = [gateway, other];
    session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    mine = await Terminals.open(gateways, session, alice);
  });
  // Whatever is taken from others, Alice's own terminals stay.
  afterEach(() => {
    expect(mine.open).toBe(true);
  });
  afterAll(async () => {
    mine.close();
    await other.end();
    await gateway.remove();
  });

  it('a revoked token; another one of the same user stays', async () => {
    const jti = randomUUID();
    const terminals = await Terminals.open(gateways, session, token({ jti }));
    const answer = await post('/auth/revocations', { jti, reason: 'laptop lost' });
    expect([answer.status, answer.body]).toEqual([
      201,
      expect.objectContaining({ kind: 'jti', jti, subject: null, reason: 'laptop lost', created_by: 'root' }),
    ]);
    expect(await terminals.closed()).toEqual(everywhere(4001, 16, 'TOKEN_REVOKED'));
    for (const each of gateways) {
      const refused = await rest(each, token({ jti }), 'GET', '/api/v1/sessions');
      expect([refused.status, codeOf(refused)]).toEqual([401, 'TOKEN_REVOKED']);
    }
    const [row] = await gateway.audit({ action: 'auth.token_revoked', user_id: 'root', success: true });
    expect(row?.['metadata']).toMatchObject({ kind: 'jti', jti });
    expect((await rest(gateway, admin, 'GET', '/api/v1/auth/revocations?limit=1')).body['items']).toMatchObject([
      { jti },
    ]);
  });

  it('all tokens of a subject issued until now; the next one is good', async () => {
    const before = token({ sub: 'bob', roles: ['operator'] });
    const terminals = await Terminals.open(gateways, session, before);
    expect((await post('/auth/revocations', { subject: 'bob' })).status).toBe(201);
    expect(await terminals.closed()).toEqual(everywhere(4001, 16, 'TOKEN_REVOKED'));
    expect(codeOf(await rest(other, before, 'GET', '/api/v1/sessions'))).toBe('TOKEN_REVOKED');
    await pause(1000);
    const after = token({ sub: 'bob', roles: ['operator'], ...issuedIn(1) });
    for (const each of gateways) expect((await rest(each, after, 'GET', '/api/v1/sessions')).status).toBe(200);
  });

  it('a subject of one provider does not take another provider’s of the same name along', async () => {
    const carol = token({ sub: 'carol' });
    expect((await post('/auth/revocations', { subject: 'carol', provider: 'okta' })).status).toBe(201);
    expect((await rest(gateway, carol, 'GET', '/api/v1/sessions')).status).toBe(200);
  });

  it('a token that was exchanged goes with the one it was made from', async () => {
    const parent = token({ sub: 'dora', roles: ['admin'], jti: randomUUID() });
    const child = String((await post('/auth/tokens', {}, parent)).body['token']);
    const terminals = await Terminals.open(gateways, session, child);
    const { jti } = JSON.parse(Buffer.from(parent.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
    await post('/auth/revocations', { jti });
    expect(await terminals.closed()).toEqual(everywhere(4001, 16, 'TOKEN_REVOKED'));
  });

  it('a revoked API key, and the token that was made from it', async () => {
    const made = await post('/api-keys', { name: 'robot', roles: ['operator'] }, gateway.adminKey);
    const key = String(made.body['key']);
    const exchanged = await rest(gateway, key, 'POST', '/api/v1/auth/tokens', { ttl_seconds: 600 });
    const [byKey, byToken] = [
      await Terminals.open(gateways, session, key),
      await Terminals.open(gateways, session, String(exchanged.body['token'])),
    ];
    const revoked = await rest(gateway, gateway.adminKey, 'DELETE', `/api/v1/api-keys/${String(made.body['id'])}`, {});
    expect(revoked.status).toBe(200);
    expect(await byKey.closed()).toEqual(everywhere(4001, 16, 'TOKEN_REVOKED'));
    expect(await byToken.closed()).toEqual(everywhere(4001, 16, 'TOKEN_REVOKED'));
    for (const each of gateways) {
      expect(codeOf(await rest(each, key, 'GET', '/api/v1/sessions'))).toBe('API_KEY_INVALID');
      expect((await rest(each, String(exchanged.body['token']), 'GET', '/api/v1/sessions')).status).toBe(401);
    }
  });

  it('a key revoked by hand in the database', async () => {
    const made = await post('/api-keys', { name: 'by hand', roles: ['operator'] }, gateway.adminKey);
    const terminals = await Terminals.open(gateways, session, String(made.body['key']));
    await gateway.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [made.body['id']]);
    expect(await terminals.closed()).toEqual(everywhere(4001, 16, 'TOKEN_REVOKED'));
  });

  it('a key whose owner lost the role', async () => {
    const binding = { role: 'operator', member: subject('robot-owner') };
    expect((await rest(gateway, admin, 'PUT', '/api/v1/policy/bindings', binding)).status).toBe(200);
    const made = await post(
      '/api-keys',
      { name: 'owned', owner: 'robot-owner', roles: ['operator'] },
      gateway.adminKey,
    );
    const terminals = await Terminals.open(gateways, session, String(made.body['key']));
    await rest(gateway, admin, 'DELETE', '/api/v1/policy/bindings', binding);
    expect(await terminals.closed()).toEqual(everywhere(4003, 7, 'PERMISSION_DENIED'));
  });

  it('a binding', async () => {
    const binding = { role: 'operator', member: { kind: 'group', provider: 'gatehouse', name: 'oncall' } };
    expect((await rest(gateway, admin, 'PUT', '/api/v1/policy/bindings', binding)).status).toBe(200);
    const eve = token({ sub: 'eve', roles: [], groups: ['oncall'] });
    const terminals = await Terminals.open(gateways, session, eve);
    expect((await rest(other, admin, 'DELETE', '/api/v1/policy/bindings', binding)).status).toBe(204);
    expect(await terminals.closed()).toEqual(everywhere(4003, 7, 'PERMISSION_DENIED'));
    const rows = await gateway.audit({ action: 'authz.downgraded', user_id: 'eve' }, 4);
    expect(rows).toHaveLength(4);
    expect(rows[0]?.['metadata']).toMatchObject({ to: 'detached', permission: 'pty:view' });
  });

  it('a share', async () => {
    const frank = token({ sub: 'frank' });
    const share = await post(
      `/sessions/${session}/share`,
      { grantee: { kind: 'subject', name: 'frank' }, level: 'view' },
      alice,
    );
    expect(share.status).toBe(201);
    const terminals = await Terminals.open(gateways, session, frank);
    const path = `/api/v1/sessions/${session}/share/${String(share.body['id'])}`;
    expect((await rest(other, alice, 'DELETE', path)).status).toBe(204);
    expect(await terminals.closed()).toEqual(everywhere(4003, 7, 'PERMISSION_DENIED'));
    expect((await rest(gateway, frank, 'GET', `/api/v1/sessions/${session}`)).status).toBe(404);
  });

  it('a share, while the session cannot be read', async () => {
    const liam = token({ sub: 'liam' });
    await post(`/sessions/${session}/share`, { grantee: { kind: 'subject', name: 'liam' }, level: 'input' }, alice);
    const terminals = await Terminals.open(gateways, session, liam);
    await whileLocked(gateway, 'sessions', async () => {
      await gateway.query(`DELETE FROM session_shares WHERE grantee = 'liam'`);
      expect(await terminals.closed()).toEqual(everywhere(4003, 7, 'PERMISSION_DENIED'));
    });
  });

  it('a revoked token, while every connection of the pool is busy; why it ended is on record', async () => {
    const jti = randomUUID();
    const terminals = await Terminals.open(gateways, session, token({ sub: 'mona', roles: ['operator'], jti }));
    await whileLocked(gateway, 'sessions', async () => {
      // More than the pool holds: each waits for the table.
      const waiting = Array.from({ length: 30 }, () => rest(gateway, alice, 'GET', '/api/v1/sessions'));
      await until('a busy pool', async () => (await waitingFor(gateway, 'sessions')) >= 10);
      await gateway.query(
        `INSERT INTO revocations (id, tenant, kind, jti, before, own, created_by, expires_at)
         VALUES ($1, 'default', 'jti', $2, now(), false, 'by hand', now() + interval '1 day')`,
        [randomUUID(), jti],
      );
      expect(await terminals.closed()).toEqual(everywhere(4001, 16, 'TOKEN_REVOKED'));
      void Promise.allSettled(waiting);
    });
    const rows = await gateway.audit({ action: 'authz.downgraded', user_id: 'mona', reason: 'TOKEN_REVOKED' }, 4);
    expect(rows.map(({ metadata }) => metadata)).toEqual(Array(4).fill({ to: 'ended', detail: 'token_revoked' }));
  });

  it('a share that ends by itself', async () => {
    const expires_at = new Date(Date.now() + 8000).toISOString();
    const grantee = { kind: 'subject', name: 'gina' };
    await post(`/sessions/${session}/share`, { grantee, level: 'view', expires_at }, alice);
    const terminals = await Terminals.open(gateways, session, token({ sub: 'gina' }));
    expect(await terminals.closed()).toEqual(everywhere(4003, 7, 'PERMISSION_DENIED'));
  });

  it('a share narrowed from typing to watching makes the controller a viewer, and no more', async () => {
    const grantee = { kind: 'subject', name: 'hugo' };
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    await post(`/sessions/${id}/share`, { grantee, level: 'input' }, alice);
    const hugo = await WsClient.open(other, `/ws/pty?id=${id}`, { credential: token({ sub: 'hugo' }) });
    expect(await hugo.next('attached')).toMatchObject({ mode: 'controller' });
    hugo.send({ type: 'input', data: 'typed\n' });
    await hugo.sees('typed\r\ntyped\r\n');
    await post(`/sessions/${id}/share`, { grantee, level: 'view' }, alice);
    expect(await hugo.next('mode_changed')).toMatchObject({ mode: 'viewer', reason: 'permission_lost' });
    for (const message of [{ type: 'input', data: 'no\n' }, { type: 'take_control' }]) {
      hugo.send(message);
      expect(await hugo.next('error')).toMatchObject({ code: 'PERMISSION_DENIED' });
    }
    const [row] = await gateway.audit({ action: 'authz.downgraded', user_id: 'hugo' });
    expect(row?.['metadata']).toMatchObject({ to: 'viewer', permission: 'pty:input' });
    // Free again: its owner may take control, and a share widened again lets the viewer ask for it.
    await post(`/sessions/${id}/share`, { grantee, level: 'input' }, alice);
    await until('control', async () => {
      hugo.send({ type: 'take_control' });
      await pause(50);
      return hugo.messages.some((message) => message['mode'] === 'controller');
    });
    hugo.close();
  });

  it('a role narrowed in permissions.yaml', async () => {
    configure(POLICY, 'role_permissions:\n  helper: [pty:view, pty:view_any, pty:list_all]\n');
    const ida = token({ sub: 'ida', roles: ['helper'] });
    await until('the role', async () => (await rest(other, ida, 'GET', `/api/v1/sessions/${session}`)).status === 200);
    await until(
      'the role',
      async () => (await rest(gateway, ida, 'GET', `/api/v1/sessions/${session}`)).status === 200,
    );
    const terminals = await Terminals.open(gateways, session, ida);
    configure(POLICY, 'role_permissions:\n  helper: [pty:view]\n');
    expect(await terminals.closed()).toEqual(everywhere(4003, 7, 'PERMISSION_DENIED'));
  });

  it('a subject that was put on the deny list', async () => {
    const terminals = await Terminals.open(gateways, session, token({ sub: 'jack', roles: ['operator'] }));
    configure(AUTH, 'authentication:\n  authorization:\n    deny_users: [jack]\n');
    expect(await terminals.closed()).toEqual(everywhere(4003, 7, 'UNAUTHORIZED_USER'));
    const refused = await rest(gateway, token({ sub: 'jack' }), 'GET', '/api/v1/sessions');
    expect([refused.status, codeOf(refused)]).toEqual([403, 'UNAUTHORIZED_USER']);
    expect(await gateway.audit({ action: 'auth.denied', reason: 'UNAUTHORIZED_USER' })).not.toEqual([]);
  });

  it('a token that ends', async () => {
    const iat = Math.floor(Date.now() / 1000);
    const terminals = await Terminals.open(gateways, session, token({ iat: iat - 60, exp: iat + 10 }));
    expect(await terminals.closed()).toEqual(everywhere(4001, 16, 'SESSION_EXPIRED'));
  });

  it('nobody revokes what is not theirs without the permission, in no other tenant, and not with nonsense', async () => {
    const refused = await post('/auth/revocations', { subject: 'alice' }, token({ sub: 'mallory' }));
    expect([refused.status, codeOf(refused)]).toEqual([403, 'PERMISSION_DENIED']);
    expect((await rest(gateway, token({ sub: 'mallory' }), 'GET', '/api/v1/auth/revocations')).status).toBe(403);
    const foreign = token({ sub: 'boss', roles: ['admin'], tenant: 'elsewhere' });
    expect((await post('/auth/revocations', { subject: 'alice' }, foreign)).status).toBe(201);
    expect((await rest(gateway, alice, 'GET', '/api/v1/sessions')).status).toBe(200);
    for (const body of [{}, { jti: 'a', subject: 'b' }, { jti: 5 }, { jti: 'a\0' }, { x: 1 }]) {
      const answer = await post('/auth/revocations', body);
      expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
    }
  });

  it('a user may revoke a token of their own, and takes nobody else’s of the same id along', async () => {
    const jti = randomUUID();
    const own = token({ sub: 'kate', jti });
    const answer = await post('/auth/revocations', { jti }, own);
    expect([answer.status, answer.body['provider']]).toEqual([201, 'gatehouse']);
    expect(codeOf(await rest(gateway, own, 'GET', '/api/v1/sessions'))).toBe('TOKEN_REVOKED');
  });

  it('revoking the same again is one revocation, moved to now', async () => {
    const first = await post('/auth/revocations', { subject: 'nina', provider: 'gatehouse' });
    const again = await post('/auth/revocations', { subject: 'nina', provider: 'gatehouse' });
    expect(again.body['id']).toBe(first.body['id']);
    expect(Date.parse(String(again.body['before']))).toBeGreaterThanOrEqual(Date.parse(String(first.body['before'])));
  });

  it('a key revokes no tokens without the permission, not even its owner’s, and is itself revoked elsewhere', async () => {
    const made = await post('/api-keys', { name: 'narrow', roles: ['user'], scopes: ['pty:view'] }, gateway.adminKey);
    const [key, id] = [String(made.body['key']), String(made.body['id'])];
    const owner = await post('/auth/revocations', { subject: 'admin', provider: 'gatehouse' }, key);
    expect([owner.status, codeOf(owner)]).toEqual([403, 'PERMISSION_DENIED']);
    for (const credential of [key, gateway.adminKey]) {
      const byId = await post('/auth/revocations', { jti: id }, credential);
      expect([byId.status, codeOf(byId)]).toEqual([422, 'INVALID_ARGUMENT']);
    }
  });

  it('who revokes their own tokens one by one is bounded, and leaves room for who must revoke', async () => {
    const olga = (jti: string) => post('/auth/revocations', { jti }, token({ sub: 'olga', jti }));
    for (let each = 0; each < 20; each += 1) expect((await olga(`olga-${String(each)}`)).status).toBe(201);
    const more = await olga('olga-more');
    expect([more.status, codeOf(more)]).toEqual([429, 'RATE_LIMIT_EXCEEDED']);
    expect((await post('/auth/revocations', { jti: 'olga-more' })).status).toBe(201);
  });
});
