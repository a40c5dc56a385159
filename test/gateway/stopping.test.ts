import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { waitingFor, whileLocked } from '../support/locks.js';
import { rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

describe('a stop while calls are under way', () => {
  let gateway: TestGateway;
  const alice = token();
  /** Whether it waited for something until its patience ended. */
  const cutOff = (): boolean => gateway.log.some(({ msg }) => msg === 'calls were cut off by the stop');
  /** Ends five seconds after it was asked to, by force. */
  const stubborn = { command: ['/bin/sh', '-c', "trap 'echo asked' HUP TERM; while :; do sleep 1; done"] };

  beforeEach(async () => {
    gateway = await TestGateway.start({ RUNNER_PERSIST: 'true' });
  });
  afterEach(() => gateway.remove());

  it('finishes and records them on every transport, and lets nothing new begin', async () => {
    const ids = await Promise.all([1, 2, 3].map(() => startSession(gateway, alice, stubborn)));
    const [first, second, third] = ids;
    const lines = ['Host: localhost', `Authorization: Bearer ${alice}`, '', ''];
    const request = (what: string): string => [`${what} HTTP/1.1`, ...lines].join('\r\n');
    let answers = '';
    const http = connect(gateway.httpPort, '127.0.0.1', () => {
      http.write(request(`DELETE /api/v1/sessions/${first ?? ''}`));
    });
    http.on('data', (chunk) => (answers += chunk.toString()));
    let lateAnswer = '';
    const quiet = connect(gateway.httpPort, '127.0.0.1').on('data', (chunk) => (lateAnswer += chunk.toString()));
    const grpc = new GrpcClient(gateway, alice);
    const killed = grpc.call('kill', { id: second });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${third ?? ''}`, { credential: alice });
    await ws.next('attached');
    ws.send({ type: 'kill' });
    for (const id of ids) {
      const said = async (): Promise<string> =>
        (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output?from=0`)).text;
      await until('the kill to begin', async () => (await said()).includes('asked'));
    }

    const ended = gateway.end('SIGTERM');
    await ws.next('goaway');
    const late = await refused(grpc.call('list', {}));
    expect([late.code, reasonOf(late)]).toEqual([14, 'GOING_AWAY']);
    quiet.write(request('GET /api/v1/sessions'));
    await until('the late answer', () => lateAnswer.includes('}}'));
    expect(lateAnswer).toMatch(/^HTTP\/1\.1 503 [\s\S]*connection: close[\s\S]*GOING_AWAY/i);
    expect(await killed).toMatchObject({ session: { state: 'SESSION_STATE_KILLED' } });
    expect(await ended).toBe(0);
    expect(answers).toMatch(/^HTTP\/1\.1 200 [\s\S]*connection: close[\s\S]*"state":"killed"/i);
    const kills = await gateway.audit({ action: 'pty.kill', success: true, user_id: 'alice' });
    expect(kills.map(({ resource }) => String(resource).slice('session:'.length)).sort()).toEqual(
      [first, second, third].sort(),
    );
    grpc.close();
  });

  it('waits for no stranger whose connection became another, or who sends half a call', async () => {
    const requests = 'GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3);
    const socket = connect(gateway.httpPort, '127.0.0.1', () => {
      socket.write(`${requests}CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n`);
    });
    await once(socket.resume(), 'close');
    const http2 = connectHttp2(`http://${gateway.grpcAddress}`).on('error', () => undefined);
    const headers = { ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc' };
    http2.request(headers).on('error', () => undefined);
    await once(http2, 'remoteSettings');
    await rest(gateway, alice, 'GET', '/api/v1/sessions');
    expect(await gateway.end('SIGTERM')).toBe(0);
    expect(cutOff()).toBe(false);
    http2.destroy();
  });

  it('lets nobody in whose credential was still being checked', async () => {
    const key = gateway.adminKey;
    let ended: Promise<number | string> | undefined;
    let upgrade: Promise<unknown> | undefined;
    await whileLocked(gateway, 'api_keys', async () => {
      upgrade = refused(WsClient.open(gateway, '/ws', { credential: key }));
      await until('the check', async () => (await waitingFor(gateway, 'api_keys')) > 0);
      ended = gateway.end('SIGTERM');
      await until('the stop', () => refusesConnections(gateway.httpPort));
    });
    expect(await upgrade).toMatchObject({ status: 503 });
    expect(await ended).toBe(0);
    expect(cutOff()).toBe(false);
  });
});

const refusesConnections = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(false);
    }).once('error', () => {
      resolve(true);
    });
  });
