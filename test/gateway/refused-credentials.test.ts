import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Metadata } from '@grpc/grpc-js';
import { TestGateway, token } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const LONG = 'a'.repeat(9000);
const alice = token();

/** What is wrong with how the credential was sent, in headers that all transports have. */
const CASES: readonly [code: string, headers: Record<string, string>][] = [
  ['AMBIGUOUS_CREDENTIALS', { authorization: `Bearer ${alice}`, 'x-api-key': 'gh_test_x' }],
  ['JWT_INVALID', { authorization: `Basic ${alice}` }],
  ['JWT_INVALID', { authorization: `Bearer ${LONG}` }],
  ['API_KEY_INVALID', { 'x-api-key': LONG }],
  ['API_KEY_INVALID', { 'x-api-key': alice }],
  ['API_KEY_INVALID', { 'x-api-key': `Bearer ${alice}` }],
];

describe('a credential that is refused for how it was sent', () => {
  let gateway: TestGateway;

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  async function overGrpc(headers: Record<string, string>): Promise<string> {
    const grpc = new GrpcClient(gateway, null);
    const metadata: Metadata = grpc.metadata;
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    try {
      return reasonOf(await refused(grpc.call('list', {}, metadata)));
    } finally {
      grpc.close();
    }
  }

  async function atUpgrade(path: string, headers: Record<string, string> = {}): Promise<unknown> {
    const { body } = (await refused(WsClient.open(gateway, path, { headers }))) as unknown as { body: string };
    return (JSON.parse(body) as { error: { code: string } }).error.code;
  }

  it.each(CASES)('%s is told on every transport', async (code, headers) => {
    expect(codeOf(await rest(gateway, null, 'GET', '/api/v1/sessions', undefined, headers))).toBe(code);
    expect(await overGrpc(headers)).toBe(code);
    expect(await atUpgrade('/ws', headers)).toBe(code);
  });

  it('in the address, or too long for a first message, is told too', async () => {
    for (const path of ['/api/v1/sessions', '/health/live'])
      expect(codeOf(await rest(gateway, null, 'GET', `${path}?token=${alice}`))).toBe('TOKEN_IN_URL');
    expect(await atUpgrade(`/ws?token=${alice}`)).toBe('TOKEN_IN_URL');
    const ws = await WsClient.open(gateway, '/ws');
    ws.send({ type: 'authenticate', token: LONG });
    expect((await ws.next('error'))['code']).toBe('JWT_INVALID');
    expect(await ws.closes()).toEqual({ code: 4000, reason: 'JWT_INVALID' });
  });

  it('is on record, every time on every transport', async () => {
    await gateway.end(); // which tells the counts that are still open
    const seen: Record<string, number> = {};
    for (const { transport, reason, metadata } of await gateway.audit({ action: 'auth.failed' })) {
      const key = `${String(transport)} ${String(reason)}`;
      seen[key] = (seen[key] ?? 0) + ((metadata as { repeated?: number }).repeated ?? 1);
    }
    expect(seen).toEqual({
      'rest AMBIGUOUS_CREDENTIALS': 1,
      'grpc AMBIGUOUS_CREDENTIALS': 1,
      'websocket AMBIGUOUS_CREDENTIALS': 1,
      'rest JWT_INVALID': 2,
      'grpc JWT_INVALID': 2,
      'websocket JWT_INVALID': 3,
      'rest API_KEY_INVALID': 3,
      'grpc API_KEY_INVALID': 3,
      'websocket API_KEY_INVALID': 3,
      'rest TOKEN_IN_URL': 2,
      'websocket TOKEN_IN_URL': 1,
    });
  });
});
