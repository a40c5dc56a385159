import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('survival', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeEach(async () => {
    gateway = await TestGateway.start({ SESSION_RING_BYTES: String(32 * 1024 * 1024) });
  });
  afterEach(() => gateway.remove());

  it('killing the gateway in mid-output ends no session and loses no byte', async () => {
    // 20 MB whose hash the program itself could print: numbered lines, so that a lost or doubled one shows.
    const script = 'i=0; while [ $i -lt 20 ]; do seq 1 150000; i=$((i+1)); sleep 0.05; done';
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', script] });
    const before = await WsClient.open(gateway, `/ws/pty?id=${id}&from=0`, { credential: alice, binary: true });
    await until('some output', () => before.bytes().length > 2_000_000);
    await gateway.end('SIGKILL');
    await before.closes();
    const had = before.bytes();
    await gateway.launch();
    const after = await WsClient.open(gateway, `/ws/pty?id=${id}&from=${String(had.length)}`, {
      credential: alice,
      binary: true,
    });
    expect(await after.next('attached')).toMatchObject({ from: had.length, session: id });
    expect(await after.next('process_exited', 40_000)).toMatchObject({ exit_code: 0 });
    const one = Array.from({ length: 150_000 }, (_, index) => `${String(index + 1)}\r\n`).join('');
    const whole = Buffer.concat([had, after.bytes()]);
    expect(whole.length).toBe(one.length * 20);
    expect(sha(whole)).toBe(sha(Buffer.from(one.repeat(20))));
    await until(
      'the end is on record',
      async () => (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state'] === 'exited',
    );
  });

  it('a session that ends while no gateway runs is known as ended afterwards', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', 'sleep 0.5; exit 3'] });
    await gateway.end('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await gateway.launch();
    await until(
      'ended',
      async () => (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state'] === 'exited',
    );
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body).toMatchObject({ exit_code: 3 });
    expect(await gateway.audit({ action: 'pty.exit', resource: `session:${id}` })).toHaveLength(1);
  });

  it('sessions of a runner that dies are lost, never shown as running, and new ones can be started', async () => {
    // Half a character: a JSON client has not been told it yet.
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', "printf 'a\\303'; exec cat"] });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    await ws.next('attached');
    const several = await WsClient.open(gateway, '/ws', { credential: alice });
    several.send({ type: 'attach', session: id, mode: 'viewer' });
    await several.next('attached');
    await several.sees('a');
    const [runner] = gateway.runnerPids();
    process.kill(runner ?? 0, 'SIGKILL');
    expect((await ws.closes()).code).toBe(1013);
    expect(await several.next('detached')).toMatchObject({ channel: 0, code: 'RUNNER_UNAVAILABLE', offset: 1 });
    await until(
      'lost',
      async () => (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state'] === 'lost',
    );
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output`)).status).toBe(409);
    expect(
      (await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice }).then((late) => late.closes())).code,
    ).toBe(4004);
    expect(await gateway.audit({ action: 'pty.lost', resource: `session:${id}` })).toHaveLength(1);
    expect(await gateway.audit({ action: 'runner.lost' })).not.toEqual([]);
    await until('another one', async () => (await rest(gateway, null, 'GET', '/health/ready')).status === 200);
    await startSession(gateway, alice, { command: ['/bin/true'] });
  });

  it('two gateways on one runner reach the same session, and either may go', async () => {
    const other = await gateway.sibling();
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const there = await WsClient.open(other, `/ws/pty?id=${id}`, { credential: alice });
    await there.next('attached');
    await gateway.end('SIGTERM');
    there.send({ type: 'input', data: 'still here\n' });
    await there.sees('still here\r\nstill here\r\n');
    there.close();
    await other.end('SIGTERM');
    await until('the last one took the runner with it', () => gateway.runnerPids().length === 0);
  });

  it('a gateway with a runner of its own leaves the sessions of another alone, on the same database', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const stranger = await gateway.stranger();
    const own = await startSession(stranger, alice, { command: ['/bin/cat'] });
    expect((await rest(stranger, alice, 'GET', `/api/v1/sessions/${id}`)).body['state']).toBe('running');
    expect(await rest(stranger, alice, 'DELETE', `/api/v1/sessions/${id}`)).toMatchObject({ status: 503 });
    const ws = await WsClient.open(stranger, `/ws/pty?id=${id}`, { credential: alice });
    expect(await ws.closes()).toEqual({ code: 1013, reason: 'RUNNER_UNAVAILABLE' });
    await stranger.end('SIGTERM');
    expect(stranger.runnerPids()).toEqual([]);
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${own}`)).body['state']).toBe('killed');
    expect((await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`)).status).toBe(200);
    await stranger.remove();
  });

  it('a start that a killed gateway left half-way is finished, and on record', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    await gateway.end('SIGKILL');
    await gateway.query(
      `UPDATE sessions SET state = 'starting', pid = NULL, created_at = now() - interval '1 minute' WHERE id = $1`,
      [id],
    );
    await gateway.launch();
    await until(
      'running',
      async () => (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state'] === 'running',
    );
    expect(await gateway.audit({ action: 'pty.start', reason: 'recovered', resource: `session:${id}` })).toHaveLength(
      1,
    );
  });

  it('a stop tells clients to come back, ends sessions and flushes the record', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    await ws.next('attached');
    expect(await gateway.end('SIGTERM')).toBe(0);
    expect(await ws.next('goaway')).toMatchObject({ reason: 'shutdown' });
    expect((await ws.closes()).code).toBe(1001);
    for (const action of ['pty.detach', 'pty.exit', 'websocket.disconnected', 'server.stopped']) {
      expect([action, (await gateway.audit({ action })).length]).toEqual([action, 1]);
    }
    expect(await gateway.audit({ action: 'runner.lost' }, 0)).toEqual([]);
    expect(gateway.runnerPids()).toEqual([]);
  });
});
