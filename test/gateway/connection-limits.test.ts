import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { refused } from '../support/grpc-client.js';
import { waitingFor, whileLocked } from '../support/locks.js';
import { startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

/** Connections that may wait to authenticate. */
const MAX_WAITING = 200;
const MAX_CHANNELS = 64;
const KIB = 1024;

describe('connections that have not said who they are', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('are never on record when they leave while their credential is being checked', async () => {
    await whileLocked(gateway, 'api_keys', async () => {
      const leaving = await Promise.all(Array.from({ length: 3 }, () => WsClient.open(gateway, '/ws')));
      for (const ws of leaving) ws.send({ type: 'authenticate', token: gateway.adminKey });
      await until('the checks to hang', async () => (await waitingFor(gateway, 'api_keys')) > 0);
      for (const ws of leaving) ws.socket.terminate();
      for (const ws of leaving) await ws.closes();
    });
    // Accepted, once nobody was there any more.
    expect(await gateway.audit({ action: 'auth.success', user_id: 'admin' })).toHaveLength(1);
    const marker = await WsClient.open(gateway, '/ws', { credential: alice });
    marker.close();
    await gateway.audit({ action: 'websocket.disconnected', user_id: 'alice' });
    expect(await gateway.audit({ action: 'websocket.connected' })).toHaveLength(1);
    expect(await gateway.audit({ action: 'websocket.disconnected' })).toHaveLength(1);
  });

  it('are 200 at most, those that left early included', async () => {
    const waiting: WsClient[] = [];
    while (waiting.length < MAX_WAITING) waiting.push(await WsClient.open(gateway, '/ws'));
    const error = (await refused(WsClient.open(gateway, '/ws'))) as unknown as { status: number; body: string };
    expect([error.status, error.body.includes('CONNECTION_LIMIT')]).toEqual([503, true]);
    const known = await WsClient.open(gateway, '/ws', { credential: alice });
    waiting[0]?.send({ type: 'authenticate', token: alice });
    await waiting[0]?.next('authenticated');
    const another = await WsClient.open(gateway, '/ws');
    for (const ws of [...waiting, known, another]) ws.close();
  });

  it('may renew their credential as often as they like once they are known', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    await ws.next('authenticated');
    for (let renewals = 0; renewals < 30; renewals += 1) {
      ws.send({ type: 'authenticate', token: token({ jti: String(renewals) }) });
      await ws.next('authenticated');
    }
    ws.close();
    expect(gateway.stdout.includes('MaxListenersExceededWarning')).toBe(false);
  });
});

describe('one connection', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('holds 64 attachments, and again as many as were given back', async () => {
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    const attach = { type: 'attach', session, mode: 'viewer' };
    for (let channel = 0; channel < MAX_CHANNELS; channel += 1) ws.send(attach);
    for (let channel = 0; channel < MAX_CHANNELS; channel += 1)
      expect((await ws.next('attached'))['channel']).toBe(channel);
    ws.send(attach);
    expect((await ws.next('error'))['code']).toBe('ATTACHMENT_LIMIT');
    ws.send({ type: 'detach', channel: 17 });
    ws.send(attach);
    expect((await ws.next('attached'))['channel']).toBe(17);
    ws.close();
  });

  it('is not read while one of its messages takes long, so that no more wait than may', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    const size = 100 * KIB;
    const messages = 640;
    await whileLocked(gateway, 'sessions', async () => {
      ws.send({ type: 'attach', session: '01a1fc84-6cb5-7e33-bf1e-bc189c38028f' });
      await until('the message to hang', async () => (await waitingFor(gateway, 'sessions')) > 0);
      const ping = JSON.stringify({ type: 'ping' }).padEnd(size);
      for (let sent = 0; sent < messages; sent += 1) ws.socket.send(ping);
      await pause(1500);
      // What is not in the kernel's buffers still waits on this side.
      expect(ws.socket.bufferedAmount).toBeGreaterThan((messages * size) / 2);
    });
    expect((await ws.next('error'))['code']).toBe('NOT_FOUND');
    await until('every pong', () => ws.messages.filter(({ type }) => type === 'pong').length === messages);
    ws.close();
  });
});
