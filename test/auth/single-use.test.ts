import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { ecKey, issue, KeyServer } from '../support/key-server.js';
import { codeOf, rest } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

describe('tokens of a provider with replay protection', () => {
  const key = ecKey('once-1');
  let server: KeyServer;
  let gateway: TestGateway;
  let other: TestGateway;

  const made = (claims: object = {}): string => {
    const iat = Math.floor(Date.now() / 1000) - 5;
    const named = { iss: 'https://once.example.com', aud: 'gatehouse', sub: 'ann', jti: randomUUID() };
    return issue('ES256', key, { ...named, iat, exp: iat + 600, ...claims });
  };
  const info = (at: TestGateway, credential: string) => rest(at, credential, 'GET', '/api/v1/auth/info');

  beforeAll(async () => {
    server = await KeyServer.start();
    server.publish('/keys', key.jwk);
    server.configure({
      jwks_providers: [
        {
          ...{ name: 'once', issuer: 'https://once.example.com', url: `${server.url}/keys` },
          ...{ audiences: ['gatehouse'], algorithms: ['ES256'], replay_protection: true },
        },
      ],
    });
    gateway = await TestGateway.start(server.environment);
    other = await gateway.sibling();
  });
  afterAll(async () => {
    await other.end();
    await gateway.remove();
    await server.stop();
  });

  it('work once, and then on no transport and no gateway', async () => {
    const token = made();
    expect((await info(gateway, token)).status).toBe(200);
    for (const at of [gateway, other]) {
      const again = await info(at, token);
      expect([again.status, codeOf(again)]).toEqual([401, 'TOKEN_REPLAYED']);
      const grpc = new GrpcClient(at, token);
      expect(reasonOf(await refused(grpc.call('list', {})))).toBe('TOKEN_REPLAYED');
      grpc.close();
      const upgrade = await refused(WsClient.open(at, '/ws', { credential: token }));
      expect(upgrade).toMatchObject({ status: 401 });
      const ws = await WsClient.open(at, '/ws');
      ws.send({ type: 'authenticate', token });
      expect(await ws.closes()).toEqual({ code: 4001, reason: 'TOKEN_REPLAYED' });
    }
    const [row] = await gateway.audit({ action: 'auth.replayed', reason: 'TOKEN_REPLAYED', transport: 'rest' });
    expect(row?.['metadata']).toMatchObject({ detail: 'token_used' });
  });

  it('of several uses at once one succeeds', async () => {
    const token = made();
    const answers = await Promise.all([gateway, other, gateway, other].map((at) => info(at, token)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401, 401, 401]);
  });

  it('open a stream that goes on after it', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: made() });
    await ws.next('authenticated');
    ws.send({ type: 'ping', id: 1 });
    expect(await ws.next('pong')).toMatchObject({ id: 1 });
    expect(ws.closed).toBeNull();
    ws.close();
  });

  it('need an id to be known by', async () => {
    expect(codeOf(await info(gateway, made({ jti: undefined })))).toBe('JWT_INVALID');
  });
});
