import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

describe('a stop while calls are under way', () => {
  let gateway: TestGateway;
  const alice = token();
  /** Ends five seconds after it was asked to, by force. */
  const stubborn = { command: ['/bin/sh', '-c', "trap '' HUP TERM; while :; do sleep 1; done"] };

  beforeAll(async () => {
    gateway = await TestGateway.start({ RUNNER_PERSIST: 'true' });
  });
  afterAll(() => gateway.remove());

  it('finishes and records them on every transport, and lets nothing new begin', async () => {
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => startSession(gateway, alice, stubborn)));
    const lines = ['Host: x', `Authorization: Bearer ${alice}`, '', ''];
    const request = (what: string): string => [`${what} HTTP/1.1`, ...lines].join('\r\n');
    let answers = '';
    const http = connect(gateway.httpPort, '127.0.0.1', () => {
      http.write(request(`DELETE /api/v1/sessions/${first ?? ''}`));
    });
    http.on('data', (chunk) => (answers += chunk.toString()));
    const grpc = new GrpcClient(gateway, alice);
    const killed = grpc.call('kill', { id: second });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${third ?? ''}`, { credential: alice });
    await ws.next('attached');
    ws.send({ type: 'kill' });
    await until('the kills to begin', async () => (await gateway.audit({ action: 'pty.attach' })).length === 1);
    await new Promise((resolve) => setTimeout(resolve, 500));

    const ended = gateway.end('SIGTERM');
    await ws.next('goaway');
    const late = await refused(grpc.call('list', {}));
    expect([late.code, reasonOf(late)]).toEqual([14, 'GOING_AWAY']);
    http.write(request('GET /api/v1/sessions'));
    expect(await killed).toMatchObject({ session: { state: 'SESSION_STATE_KILLED' } });
    expect(await ended).toBe(0);
    expect(answers).toMatch(/^HTTP\/1\.1 200 [\s\S]*"state":"killed"[\s\S]*HTTP\/1\.1 503 [\s\S]*GOING_AWAY/);
    expect(answers).toMatch(/connection: close/i);
    const kills = await gateway.audit({ action: 'pty.kill', success: true, user_id: 'alice' });
    expect(kills.map(({ resource }) => String(resource).slice('session:'.length)).sort()).toEqual(
      [first, second, third].sort(),
    );
    grpc.close();
  });
});
