import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ClientAddresses } from '../../src/transport/client-address.js';
import { TestGateway } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

describe('whose address a call comes from', () => {
  const behind = new ClientAddresses(['127.0.0.1', '10.0.0.0/8', 'fd00::/8']);
  it.each<[string, string, string[], string]>([
    ['the peer, without a proxy', '203.0.113.7', [], '203.0.113.7'],
    ['the peer, when it is no proxy of ours', '203.0.113.7', ['198.51.100.1'], '203.0.113.7'],
    ['whom our proxy names', '10.0.0.1', ['198.51.100.1'], '198.51.100.1'],
    ['not whom the client names before', '10.0.0.1', ['1.2.3.4, 198.51.100.1'], '198.51.100.1'],
    [
      'the first that is not ours, of several proxies',
      '127.0.0.1',
      ['1.2.3.4, 198.51.100.1, 10.9.9.9'],
      '198.51.100.1',
    ],
    ['the same over several headers', '127.0.0.1', ['1.2.3.4', '198.51.100.1', '10.9.9.9'], '198.51.100.1'],
    ['IPv4 in IPv6', '::ffff:10.0.0.1', ['::ffff:198.51.100.1'], '198.51.100.1'],
    ['IPv6', 'fd00::1', ['2001:db8::7'], '2001:db8::7'],
    ['the proxy itself, for what is no address', '10.0.0.1', ['1.2.3.4, unknown'], '10.0.0.1'],
    ['the innermost of ours, when all are ours', '10.0.0.1', ['10.0.0.3, 10.0.0.2'], '10.0.0.3'],
  ])('is %s', (_what, peer, forwarded, address) => {
    expect(behind.of(peer, forwarded)).toBe(address);
  });
});

describe('a key that is bound to addresses', () => {
  let gateway: TestGateway;
  let key: string;
  const through = (address: string) => ({ 'x-forwarded-for': address });

  beforeAll(async () => {
    gateway = await TestGateway.start({ TRUSTED_PROXIES: '127.0.0.1' });
    const made = await rest(gateway, gateway.adminKey, 'POST', '/api/v1/api-keys', {
      ...{ name: 'bound', roles: ['user'], allowed_cidrs: ['198.51.100.0/24'] },
    });
    key = String(made.body['key']);
  });
  afterAll(() => gateway.remove());

  it('works from there, through a trusted proxy, on every transport, and from nowhere else', async () => {
    for (const [address, good] of [
      ['198.51.100.9', true],
      ['198.51.101.9', false],
      // What the client claims stands before what the proxy saw.
      ['198.51.100.9, 203.0.113.5', false],
    ] as const) {
      const answer = await rest(gateway, key, 'GET', '/api/v1/auth/info', undefined, through(address));
      expect([answer.status, codeOf(answer)]).toEqual(good ? [200, undefined] : [401, 'API_KEY_INVALID']);
      const grpc = new GrpcClient(gateway, key);
      const { metadata } = grpc;
      metadata.set('x-forwarded-for', address);
      const listed = grpc.call('list', {}, metadata);
      if (good) expect(await listed).toBeDefined();
      else expect(reasonOf(await refused(listed))).toBe('API_KEY_INVALID');
      grpc.close();
      const opened = WsClient.open(gateway, '/ws', { credential: key, headers: through(address) });
      if (good) (await opened).close();
      else expect(await refused(opened)).toMatchObject({ status: 401 });
    }
    const [row] = await gateway.audit({ action: 'auth.failed', reason: 'API_KEY_INVALID', transport: 'rest' });
    expect(row).toMatchObject({ remote_addr: '198.51.101.9', metadata: { detail: 'address' } });
  });

  it('so does a token that was made from it', async () => {
    const made = await rest(gateway, key, 'POST', '/api/v1/auth/tokens', {}, through('198.51.100.9'));
    const token = String(made.body['token']);
    const info = (address: string) => rest(gateway, token, 'GET', '/api/v1/auth/info', undefined, through(address));
    expect((await info('198.51.100.9')).status).toBe(200);
    expect((await info('203.0.113.5')).status).toBe(401);
  });
});

describe('a key that was rotated', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('is told until when it works, on every transport', async () => {
    const made = await rest(gateway, gateway.adminKey, 'POST', '/api/v1/api-keys', { name: 'old', roles: ['user'] });
    const key = String(made.body['key']);
    expect((await rest(gateway, key, 'GET', '/api/v1/auth/info')).headers.get('x-api-key-rotated')).toBeNull();
    const path = `/api/v1/api-keys/${String(made.body['id'])}/rotate`;
    const rotated = await rest(gateway, gateway.adminKey, 'POST', path, { grace_seconds: 600 });
    expect(rotated.status).toBe(201);
    const grace = (await rest(gateway, key, 'GET', '/api/v1/auth/info')).headers.get('x-api-key-rotated');
    expect(Date.parse(grace ?? '')).toBeGreaterThan(Date.now());
    const grpc = new GrpcClient(gateway, key);
    const heard = await new Promise((done, reject) => {
      const call = grpc.client.list({}, grpc.metadata, (error) => {
        if (error) reject(error);
      });
      call.on('metadata', (metadata) => {
        done(metadata.get('x-api-key-rotated')[0]);
      });
    });
    grpc.close();
    const ws = await WsClient.open(gateway, '/ws', { credential: key });
    const { key_rotated_until: until } = await ws.next('authenticated');
    ws.close();
    expect([heard, until]).toEqual([grace, grace]);
  });
});
