import '../support/nest-first.js';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MAX_LIFETIME_SECONDS } from '../../src/auth/providers/auth-config.js';
import { KEPT_MS } from '../../src/auth/revocations.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { ecKey, issue, KeyServer } from '../support/key-server.js';
import { codeOf, rest } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const ISSUER = 'https://corp.example.com';

describe('what was made from an identity provider’s token', () => {
  const key = ecKey('corp-1');
  let server: KeyServer;
  let gateway: TestGateway;
  let other: TestGateway;
  let reloads = 0;

  const made = (claims: object = {}, signer = key): string => {
    const iat = Math.floor(Date.now() / 1000) - 5;
    const named = { iss: ISSUER, aud: 'gatehouse', sub: 'ann', jti: randomUUID(), roles: ['boss'], groups: ['staff'] };
    return issue('ES256', signer, { ...named, iat, exp: iat + 600, ...claims });
  };
  const corp = (change: object = {}): object => ({
    ...{ name: 'corp', issuer: ISSUER, url: `${server.url}/keys`, audiences: ['gatehouse'], algorithms: ['ES256'] },
    ...{ role_map: { boss: 'admin', worker: 'user' }, ...change },
  });
  const configure = async (providers: object[], lists: object = {}): Promise<void> => {
    server.configure({
      ...{ refresh_interval_seconds: 1, cache_ttl_seconds: 1, jwks_providers: providers },
      authorization: { deny_users: [`nobody-${String(reloads)}`], ...lists },
    });
    reloads += 2;
    expect(await gateway.audit({ action: 'config.reloaded' }, reloads)).toHaveLength(reloads);
  };
  const call = (credential: string, path = '/auth/info', body?: object, at = gateway) =>
    rest(at, credential, body === undefined ? 'GET' : 'POST', `/api/v1${path}`, body);
  const permissions = async (credential: string): Promise<number> => {
    const { status, body } = await call(credential);
    return status === 200 ? (body['permissions'] as string[]).length : -status;
  };
  /** A key, an exchanged token and an open socket of a ticket, all of the owner of this token. */
  const derive = async (credential: string) => {
    const apiKey = String((await call(credential, '/api-keys', { name: 'k' })).body['key']);
    const exchanged = String((await call(credential, '/auth/tokens', {})).body['token']);
    const ticket = String((await call(credential, '/auth/ws-ticket', {})).body['ticket']);
    const socket = await WsClient.open(gateway, '/ws');
    socket.send({ type: 'authenticate', token: ticket });
    await socket.next('authenticated');
    return { apiKey, exchanged, socket };
  };

  beforeAll(async () => {
    server = await KeyServer.start();
    server.publish('/keys', key.jwk);
    server.configure({ jwks_providers: [corp()] });
    gateway = await TestGateway.start(server.environment);
    other = await gateway.sibling();
  });
  beforeEach(async () => {
    server.publish('/keys', key.jwk);
    await configure([corp()]);
  });
  afterAll(async () => {
    await other.end();
    await gateway.remove();
    await server.stop();
  });

  it('loses what a changed role map takes away: keys by the map as it is, the rest altogether', async () => {
    const { apiKey, exchanged, socket } = await derive(made());
    const all = await permissions(apiKey);
    expect([await permissions(exchanged), all]).toEqual([all, all]);
    await configure([corp({ role_map: { boss: 'viewer' } })]);
    const left = await permissions(apiKey);
    expect(left > 0 && left < 5).toBe(true);
    expect(await permissions(exchanged)).toBe(-401);
    expect(await socket.closes()).toEqual({ code: 4000, reason: 'JWT_INVALID' });
    await configure([corp()]);
    expect(await permissions(apiKey)).toBe(all);
  });

  it('is worth nothing while its provider is not configured', async () => {
    const { apiKey, exchanged, socket } = await derive(made());
    await configure([]);
    expect([await permissions(apiKey), await permissions(exchanged)]).toEqual([-401, -401]);
    expect((await socket.closes()).code).toBe(4000);
  });

  it('goes with the key that signed, but for API keys, which outlive a rotation', async () => {
    const { apiKey, exchanged, socket } = await derive(made());
    const next = ecKey('corp-2');
    server.publish('/keys', next.jwk);
    await until('the old key is out', async () => (await permissions(exchanged)) === -401);
    expect((await socket.closes()).code).toBe(4000);
    expect(await permissions(apiKey)).toBeGreaterThan(0);
    expect(await permissions(made({}, next))).toBeGreaterThan(0);
  });

  it('hears that its owner is not let in any more, when the owner comes', async () => {
    const { apiKey, socket } = await derive(made({ sub: 'ben' }));
    await configure([corp()], { deny_groups: ['banned'] });
    expect(await permissions(apiKey)).toBeGreaterThan(0);
    const banned = await call(made({ sub: 'ben', groups: ['staff', 'banned'], iat: Math.floor(Date.now() / 1000) }));
    expect([banned.status, codeOf(banned)]).toEqual([403, 'UNAUTHORIZED_GROUP']);
    await until('the key hears of it', async () => (await permissions(apiKey)) === -403);
    socket.close();
  });

  it('a token from a clock ahead of ours goes with a revocation of its subject, on a gateway that never saw it', async () => {
    const iat = Math.floor(Date.now() / 1000) + 50;
    const ahead = made({ sub: 'cleo', iat, exp: iat + 600 });
    expect((await call(ahead)).status).toBe(200);
    const admin = token({ sub: 'root', roles: ['admin'] });
    expect((await call(admin, '/auth/revocations', { subject: 'cleo' })).status).toBe(201);
    for (const at of [gateway, other]) {
      expect(codeOf(await call(ahead, '/auth/info', undefined, at))).toBe('TOKEN_REVOKED');
    }
  });
});

describe('a local token', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('that was exchanged long ago gives its owner’s keys nothing back that a newer token took', async () => {
    const now = Math.floor(Date.now() / 1000);
    const before = token({ sub: 'dan', roles: ['admin'], iat: now - 300 });
    const post = (credential: string, path: string, body: object) =>
      rest(gateway, credential, 'POST', `/api/v1${path}`, body);
    const key = String((await post(before, '/api-keys', { name: 'k' })).body['key']);
    const count = async (): Promise<number> =>
      ((await rest(gateway, key, 'GET', '/api/v1/auth/info')).body['permissions'] as string[]).length;
    const all = await count();
    expect((await rest(gateway, token({ sub: 'dan', iat: now - 100 }), 'GET', '/api/v1/auth/info')).status).toBe(200);
    await until('the key is worth less', async () => (await count()) < all);
    const less = await count();
    const exchanged = String((await post(before, '/auth/tokens', {})).body['token']);
    expect((await post(exchanged, '/api-keys', { name: 'other' })).status).toBe(201);
    expect(await count()).toBe(less);
  });

  it('cannot live longer than its revocation is kept', () => {
    expect(KEPT_MS).toBeGreaterThan((MAX_LIFETIME_SECONDS + 300) * 1000);
  });
});
