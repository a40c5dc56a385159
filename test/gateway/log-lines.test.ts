import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type LogLine, TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, refused } from '../support/grpc-client.js';
import { rest } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const NO_ONE = '01a1fc84-6cb5-7e33-bf1e-bc189c38028f';
const ERROR = 'error';

describe('a line in the log', () => {
  let gateway: TestGateway;
  const alice = token({ tenant: 'acme' });

  beforeAll(async () => {
    gateway = await TestGateway.start();
    // The gateway's own mistake, as an operator will have to find one.
    await gateway.query('ALTER TABLE sessions RENAME TO sessions_away');
  });
  afterAll(async () => {
    await gateway.query('ALTER TABLE sessions_away RENAME TO sessions');
    await gateway.remove();
  });

  const errorsOf = (id: string): LogLine[] =>
    gateway.log.filter(({ level, request_id }) => level === ERROR && request_id === id);
  const headers = (id: string): Record<string, string> => ({ 'x-request-id': id });
  const expected = { tenant: 'acme', user_id: 'alice' };

  it('about a failed REST request has the id that the client got, and says who called', async () => {
    for (const [id, method, body] of [
      ['rest-1', 'GET', undefined],
      ['rest-2', 'POST', { command: ['/bin/true'] }],
    ] as const) {
      const answer = await rest(gateway, alice, method, '/api/v1/sessions', body, headers(id));
      expect([answer.status, answer.headers.get('x-request-id')]).toEqual([500, id]);
      expect((answer.body['error'] as { request_id: string }).request_id).toBe(id);
      expect(errorsOf(id)).toMatchObject([{ ...expected, msg: 'request failed', code: 'INTERNAL_ERROR' }]);
    }
  });

  it('about a failed gRPC call or stream does too', async () => {
    const grpc = new GrpcClient(gateway, alice);
    const { metadata } = grpc;
    metadata.set('x-request-id', 'grpc-1');
    expect((await refused(grpc.call('list', {}, metadata))).code).toBe(13);
    expect(errorsOf('grpc-1')).toMatchObject([expected]);
    metadata.set('x-request-id', 'grpc-2');
    const stream = grpc.attach(metadata);
    stream.write({ attach: { session: NO_ONE } });
    expect((await endOf(stream))?.code).toBe(13);
    expect(errorsOf('grpc-2')).toMatchObject([{ ...expected, msg: 'attach frame failed' }]);
    grpc.close();
  });

  it('about a failed WebSocket message has the id of its upgrade', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: alice, headers: headers('ws-1') });
    ws.send({ type: 'attach', session: NO_ONE });
    expect((await ws.next('error'))['code']).toBe('INTERNAL_ERROR');
    expect(errorsOf('ws-1')).toMatchObject([{ ...expected, msg: 'websocket message failed' }]);
    ws.close();
  });

  it('from deep inside has it as well, and calls it by no other name', async () => {
    await gateway.query('ALTER TABLE audit_events RENAME TO audit_events_away');
    await rest(gateway, token({ sub: 'bob' }), 'GET', '/no/such/page', undefined, headers('rest-3'));
    await until('the writer to complain', () => errorsOf('rest-3').length > 0);
    await gateway.query('ALTER TABLE audit_events_away RENAME TO audit_events');
    expect(errorsOf('rest-3')[0]).toMatchObject({ tenant: 'default', user_id: 'bob' });
    for (const line of gateway.log) {
      expect(line).not.toHaveProperty('requestId');
      expect(line).not.toHaveProperty('reqId');
    }
  });
});
