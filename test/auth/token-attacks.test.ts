import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SECRET, TestGateway, token } from '../support/gateway.js';
import { endOf, GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { craft, ecKey, issue, KeyServer, rsaKey } from '../support/key-server.js';
import { codeOf, rest } from '../support/rest.js';
import { type Attack, attacks } from '../support/token-attacks.js';
import { WsClient } from '../support/ws-client.js';

const ME = '/api/v1/auth/info';

describe('a crafted token', () => {
  const rsa = { issuer: 'https://rsa.example.com', key: rsaKey('rsa-1') };
  const ec = { issuer: 'https://ec.example.com', key: ecKey('ec-1') };
  const table = attacks({ rsa, ec, strangers: { rsa: rsaKey('stranger'), ec: ecKey('stranger') } });
  /** One of each kind, for the transports beside REST. */
  const some = [...new Map(table.map((attack) => [attack.reason, attack])).values()].filter((_, i) => i % 3 === 0);
  let keyServer: KeyServer;
  let gateway: TestGateway;

  beforeAll(async () => {
    keyServer = await KeyServer.start();
    keyServer.publish('/rsa', rsa.key.jwk);
    keyServer.publish('/ec', ec.key.jwk);
    const provider = (name: 'rsa' | 'ec', issuer: string, algorithm: string): object => ({
      ...{ name, issuer, url: `${keyServer.url}/${name}`, audiences: ['gatehouse'], algorithms: [algorithm] },
    });
    keyServer.configure({ jwks_providers: [provider('rsa', rsa.issuer, 'RS256'), provider('ec', ec.issuer, 'ES256')] });
    gateway = await TestGateway.start({ ...keyServer.environment });
  });
  afterAll(async () => {
    await gateway.remove();
    await keyServer.stop();
  });

  it('is one of sixty at least, none of which comes twice', () => {
    expect(table.length).toBeGreaterThanOrEqual(60);
    expect(new Set(table.map(({ name }) => name)).size).toBe(table.length);
    expect(some.length).toBeGreaterThanOrEqual(12);
  });

  it('is not what keeps honest ones out', async () => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { sub: 'ada', aud: ['x', 'gatehouse'], iat: now, exp: now + 300 };
    const honest = [
      token(),
      craft(
        { alg: 'HS256', typ: 'application/at+JWT' },
        { ...claims, iss: 'gatehouse', userId: 'ada' },
        'HS256',
        SECRET,
      ),
      issue('RS256', rsa.key, { ...claims, iss: rsa.issuer }),
      issue('ES256', ec.key, { ...claims, iss: ec.issuer }, { typ: 'at+jwt', x5t: 'abc' }),
      craft({ alg: 'ES256' }, { ...claims, iss: ec.issuer }, 'ES256', ec.key.privateKey),
    ];
    for (const each of honest) expect((await rest(gateway, each, 'GET', ME)).status).toBe(200);
  });

  it.each(table)('over REST: $name', async ({ token: crafted, code }) => {
    const answer = await rest(gateway, crafted, 'GET', ME);
    expect([answer.status, codeOf(answer)]).toEqual([401, code]);
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer realm="gatehouse", error="/);
  });

  it('in the body of an answer is not told why it was refused', async () => {
    const texts = new Map<string, Set<string>>();
    for (const { token: crafted, code } of table.filter((_, i) => i % 4 === 0)) {
      const { body } = await rest(gateway, crafted, 'GET', ME);
      const { message } = body['error'] as { message: string };
      texts.set(code, (texts.get(code) ?? new Set()).add(message));
    }
    for (const messages of texts.values()) expect(messages.size).toBe(1);
  });

  it.each(some)('over gRPC, unary and stream: $name', async ({ token: crafted, code }) => {
    const grpc = new GrpcClient(gateway, crafted);
    try {
      const unary = await refused(grpc.call('list', {}));
      expect([unary.code, reasonOf(unary)]).toEqual([16, code]);
      const stream = await endOf(grpc.attach());
      expect(stream && [stream.code, reasonOf(stream)]).toEqual([16, code]);
    } finally {
      grpc.close();
    }
  });

  it.each(some)('over WebSocket, at the upgrade and as first message: $name', async ({ token: crafted, code }) => {
    const upgrade = (await refused(WsClient.open(gateway, '/ws', { credential: crafted }))) as unknown as {
      status: number;
      body: string;
    };
    expect(upgrade.status).toBe(401);
    expect((JSON.parse(upgrade.body) as { error: { code: string } }).error.code).toBe(code);
    const ws = await WsClient.open(gateway, '/ws');
    ws.send({ type: 'authenticate', token: crafted });
    expect(await ws.closes()).toEqual({ code: code === 'JWT_EXPIRED' ? 4001 : 4000, reason: code });
  });

  it('is too large for every place', async () => {
    const huge = craft({ alg: 'HS256' }, { sub: 'a'.repeat(9000) }, 'HS256', SECRET);
    expect(codeOf(await rest(gateway, huge, 'GET', ME))).toBe('JWT_INVALID');
    const ws = await WsClient.open(gateway, '/ws');
    ws.send({ type: 'authenticate', token: huge });
    expect((await ws.closes()).reason).toBe('JWT_INVALID');
  });

  it('beside another credential, or in the address, is a 400', async () => {
    const twice = await rest(gateway, token(), 'GET', ME, undefined, { 'x-api-key': token() });
    expect([twice.status, codeOf(twice)]).toEqual([400, 'AMBIGUOUS_CREDENTIALS']);
    const inUrl = await rest(gateway, null, 'GET', `${ME}?access_token=${token()}`);
    expect([inUrl.status, codeOf(inUrl)]).toEqual([400, 'TOKEN_IN_URL']);
  });

  it('is on record with its reason, and nothing of what it says', async () => {
    await gateway.end(); // which tells the counts that are still open
    const rows = await gateway.query(
      `SELECT reason, metadata FROM audit_events WHERE transport = 'rest' AND NOT success`,
    );
    const recorded = new Set(
      rows.map(({ reason, metadata }) => `${String(reason)} ${String((metadata as { detail?: string }).detail)}`),
    );
    const expected = new Set(table.map(({ code, reason }: Attack) => `${code} ${reason}`));
    expect([...expected].filter((each) => !recorded.has(each))).toEqual([]);
    const all = JSON.stringify(await gateway.query('SELECT * FROM audit_trail'));
    expect(all).not.toMatch(/mallory|evil\.example|UNION/);
    expect(gateway.stdout).not.toMatch(/mallory|evil\.example|eyJ/);
  });

  it('never ends in a 500', async () => {
    const failures = await gateway.query(`SELECT * FROM audit_events WHERE reason = 'INTERNAL_ERROR'`);
    expect(failures).toEqual([]);
  });
});
