import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ServiceError } from '@grpc/grpc-js';
import jwt from 'jsonwebtoken';
import { SECRET, TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const now = Math.floor(Date.now() / 1000);
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = { sub: 'alice', roles: ['admin'], iat: now, exp: now + 600, iss: 'gatehouse', aud: 'gatehouse' };
/** A token that is right but for its header. */
const typed = (header: object): string =>
  jwt.sign(claims, SECRET, { algorithm: 'HS256', header: { alg: 'HS256', ...header } });
/** Another signature that is written as one may be: of its last character two bits are none of it. */
const flip = (text: string): string => text.slice(0, -2) + (text.endsWith('AA') ? 'BA' : 'AA');

describe('who may call', () => {
  let gateway: TestGateway;
  let alices: string;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start({ AUTH_SECRET_PREVIOUS: 'the-secret-that-was-used-until-yesterday' });
    alices = await startSession(gateway, alice, { command: ['/bin/cat'] });
  });
  afterAll(() => gateway.remove());

  /** The refusal of one credential on every transport: REST, gRPC unary, gRPC stream, upgrade, first message. */
  async function refusals(credential: string): Promise<unknown[]> {
    const overRest = await rest(gateway, credential, 'GET', '/api/v1/sessions');
    const grpc = new GrpcClient(gateway, credential);
    const unary = await refused(grpc.call('list', {}));
    const stream = grpc.attach();
    stream.write({ attach: { session: alices } });
    const streamed = (await endOf(stream)) as ServiceError;
    grpc.close();
    const upgrade = (await refused(WsClient.open(gateway, '/ws', { credential }))) as unknown as {
      status: number;
      body: string;
    };
    const ws = await WsClient.open(gateway, '/ws');
    ws.send({ type: 'authenticate', token: credential });
    const told = await ws.next('error');
    const { code: close } = await ws.closes();
    const upgradeCode = (JSON.parse(upgrade.body) as { error: { code: string } }).error.code;
    return [
      [overRest.status, unary.code, streamed.code, upgrade.status, close],
      new Set([codeOf(overRest), reasonOf(unary), reasonOf(streamed), upgradeCode, told['code']]),
    ];
  }

  it.each([
    ['an expired token', () => token({ iat: now - 3600, exp: now - 120 }), 'JWT_EXPIRED', 4001],
    ['a token for later', () => token({ nbf: now + 300 }), 'JWT_NOT_YET_VALID', 4000],
    ['a token issued in the future', () => token({ iat: now + 300, exp: now + 600 }), 'JWT_NOT_YET_VALID', 4000],
    [
      'a token of another secret',
      () => token({}, 'another-secret-of-more-than-32-bytes-length'),
      'JWT_SIGNATURE_INVALID',
      4000,
    ],
    ['a changed signature', () => flip(token()), 'JWT_SIGNATURE_INVALID', 4000],
    ['an unsigned token', () => `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`, 'JWT_INVALID', 4000],
    ['HS512', () => jwt.sign(claims, SECRET, { algorithm: 'HS512' }), 'JWT_INVALID', 4000],
    ['another issuer', () => token({ iss: 'elsewhere' }), 'JWT_INVALID', 4000],
    ['another audience', () => token({ aud: 'elsewhere' }), 'JWT_INVALID', 4000],
    ['no issuer', () => token({ iss: undefined }), 'JWT_INVALID', 4000],
    ['no subject', () => token({ sub: undefined }), 'JWT_INVALID', 4000],
    ['two subjects that differ', () => token({ userId: 'bob' }), 'JWT_INVALID', 4000],
    ['no end', () => token({ exp: undefined }), 'JWT_INVALID', 4000],
    ['no beginning', () => token({ iat: undefined }), 'JWT_INVALID', 4000],
    ['a life of two days', () => token({ exp: now + 2 * 86_400 }), 'JWT_INVALID', 4000],
    ['roles that are no list', () => token({ roles: 'admin' }), 'JWT_INVALID', 4000],
    ...['id_token+jwt', 'logout+jwt', 'Refresh', ''].map(
      (typ) => [`a token of the type "${typ}"`, () => typed({ typ }), 'JWT_INVALID', 4000] as const,
    ),
    ['a token with a critical extension', () => typed({ crit: ['exp'] }), 'JWT_INVALID', 4000],
    ['a token that calls itself a refresh token', () => token({ typ: 'Refresh' }), 'JWT_INVALID', 4000],
    ['a subject of half a character', () => token({ sub: '\ud800' }), 'JWT_INVALID', 4000],
    ['a subject with a NUL', () => token({ sub: 'alice\0' }), 'JWT_INVALID', 4000],
    ['no JWT at all', () => 'let-me-in', 'JWT_INVALID', 4000],
    ['an invented key', () => `gh_test_${'a'.repeat(16)}_${'b'.repeat(49)}`, 'API_KEY_INVALID', 4000],
  ])('%s is refused on every transport alike', async (_what, make, code, close) => {
    expect(await refusals(make())).toEqual([[401, 16, 16, 401, close], new Set([code])]);
  });

  it('no credential is refused on every transport, and every refusal is on record', async () => {
    expect(codeOf(await rest(gateway, null, 'GET', '/api/v1/sessions'))).toBe('AUTH_TOKEN_MISSING');
    const grpc = new GrpcClient(gateway, null);
    expect(reasonOf(await refused(grpc.call('list', {})))).toBe('AUTH_TOKEN_MISSING');
    expect(reasonOf((await endOf(grpc.attach())) as ServiceError)).toBe('AUTH_TOKEN_MISSING');
    grpc.close();
    const ws = await WsClient.open(gateway, '/ws');
    ws.send({ type: 'attach', session: alices });
    expect((await ws.next('error'))['code']).toBe('AUTH_TOKEN_MISSING');
    expect(await ws.closes()).toEqual({ code: 4000, reason: 'AUTH_TOKEN_MISSING' });
    for (const transport of ['rest', 'grpc']) {
      expect(
        await gateway.audit({ action: 'auth.failed', transport, reason: 'AUTH_TOKEN_MISSING', success: false }),
      ).not.toEqual([]);
    }
    expect(await gateway.audit({ action: 'auth.expired', transport: 'websocket', reason: 'JWT_EXPIRED' })).not.toEqual(
      [],
    );
  });

  it('a 401 says how to authenticate, and unknown addresses ask for a credential too', async () => {
    const answer = await rest(gateway, null, 'GET', '/no/such/page');
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="gatehouse"']);
    const expired = await rest(gateway, token({ iat: now - 3600, exp: now - 120 }), 'GET', '/api/v1/sessions');
    expect(expired.headers.get('www-authenticate')).toMatch(
      /^Bearer realm="gatehouse", error="invalid_token", error_description="[^"]+"$/,
    );
    expect((await rest(gateway, alice, 'GET', '/no/such/page')).status).toBe(404);
  });

  it('the first administrator’s key works in both headers, on all transports', async () => {
    const key = gateway.adminKey;
    expect((await rest(gateway, key, 'GET', '/api/v1/sessions')).status).toBe(200);
    expect((await rest(gateway, null, 'GET', '/api/v1/sessions', undefined, { 'x-api-key': key })).status).toBe(200);
    const grpc = new GrpcClient(gateway, key);
    expect((await grpc.call('list', {}))['items']).not.toEqual([]);
    grpc.close();
    const ws = await WsClient.open(gateway, '/ws');
    ws.send({ type: 'authenticate', token: key, id: 'a' });
    expect(await ws.next('authenticated')).toMatchObject({ user_id: 'admin', id: 'a' });
    ws.close();
    const [row] = await gateway.query('SELECT * FROM api_keys');
    expect(JSON.stringify(row)).not.toContain(key.slice(30));
  });

  it('a key that was revoked by hand is refused within a second, a changed one always', async () => {
    const key = gateway.adminKey;
    const list = (credential: string) => rest(gateway, credential, 'GET', '/api/v1/sessions');
    expect((await list(flip(key))).status).toBe(401);
    expect((await list(key)).status).toBe(200);
    await gateway.query('UPDATE api_keys SET revoked_at = now()');
    await until('it is known', async () => codeOf(await list(key)) === 'API_KEY_INVALID');
    await gateway.query('UPDATE api_keys SET revoked_at = NULL');
    await until('it is known', async () => (await list(key)).status === 200);
  });

  it('a token of the secret before still works during a rotation', async () => {
    const before = token({}, 'the-secret-that-was-used-until-yesterday');
    expect((await rest(gateway, before, 'GET', '/api/v1/sessions')).status).toBe(200);
  });

  it('the scheme may be written in any case; any other scheme is refused', async () => {
    const list = (authorization: string) =>
      rest(gateway, null, 'GET', '/api/v1/sessions', undefined, { authorization });
    expect((await list(`bEaReR ${alice}`)).status).toBe(200);
    expect((await list(`Basic ${alice}`)).status).toBe(401);
    expect((await list(alice)).status).toBe(401);
    expect((await list(`Bearer ${alice} ${alice}`)).status).toBe(401);
  });

  it('two credentials, or one in the address, are refused with a reason', async () => {
    const both = await rest(gateway, alice, 'GET', '/api/v1/sessions', undefined, { 'x-api-key': gateway.adminKey });
    expect([both.status, codeOf(both)]).toEqual([400, 'AMBIGUOUS_CREDENTIALS']);
    const inUrl = await rest(gateway, null, 'GET', `/api/v1/sessions?token=${alice}`);
    expect([inUrl.status, codeOf(inUrl)]).toEqual([400, 'TOKEN_IN_URL']);
    for (const query of [
      ...['x-api-key', 'bearer', 'id_token', 'session_token', 'credential', 'Api-Key', 'ticket'].map(
        (name) => `${name}=x`,
      ),
      `name=${gateway.adminKey}`,
      `name=${alice}`,
      `name=gh_ticket_${'x'.repeat(43)}`,
    ])
      expect(codeOf(await rest(gateway, alice, 'GET', `/api/v1/sessions?${query}`))).toBe('TOKEN_IN_URL');
    const upgrade = (await refused(WsClient.open(gateway, `/ws?access_token=${alice}`))) as unknown as {
      status: number;
      body: string;
    };
    expect([upgrade.status, upgrade.body.includes('TOKEN_IN_URL')]).toEqual([400, true]);
    const grpc = new GrpcClient(gateway, alice);
    const { metadata } = grpc;
    metadata.set('x-api-key', gateway.adminKey);
    expect(reasonOf(await refused(grpc.call('list', {}, metadata)))).toBe('AMBIGUOUS_CREDENTIALS');
    grpc.close();
  });

  it('a connection ends with its credential, unless it was renewed', async () => {
    const short = (): string => token({ iat: now - 60, exp: Math.floor(Date.now() / 1000) + 8 });
    const [ending, renewed] = [
      await WsClient.open(gateway, '/ws', { credential: short() }),
      await WsClient.open(gateway, '/ws', { credential: short() }),
    ];
    const [stream, kept] = [new GrpcClient(gateway, short()).attach(), new GrpcClient(gateway, short()).attach()];
    for (const each of [stream, kept]) each.write({ attach: { session: alices, mode: 'ATTACH_MODE_VIEWER' } });
    const [end, keptEnd] = [endOf(stream), endOf(kept)];
    const frames: Record<string, unknown>[] = [];
    kept.on('data', (frame: Record<string, unknown>) => frames.push(frame));
    kept.write({ authenticate: { token: token({ sub: 'mallory' }) } });
    kept.write({ authenticate: { token: alice } });
    await until('renewed', () => frames.some((frame) => 'authenticated' in frame));
    expect(frames.find((frame) => 'error' in frame)).toMatchObject({ error: { code: 'PERMISSION_DENIED' } });
    renewed.send({ type: 'authenticate', token: token({ sub: 'mallory' }) });
    expect((await renewed.next('error'))['code']).toBe('PERMISSION_DENIED');
    renewed.send({ type: 'authenticate', token: alice });
    expect(await ending.closes()).toEqual({ code: 4001, reason: 'SESSION_EXPIRED' });
    expect(reasonOf((await end) as ServiceError)).toBe('SESSION_EXPIRED');
    expect([renewed.closed, kept.destroyed]).toEqual([null, false]);
    renewed.close();
    kept.cancel();
    expect(reasonOf((await keptEnd) as ServiceError)).not.toBe('SESSION_EXPIRED');
  });
});
