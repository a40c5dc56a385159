import { once } from 'node:events';
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { alive, uniqueSleep } from '../runner/alive.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { runnerSessions } from '../support/runner-sessions.js';
import { onceEach, rowsPerSession } from '../support/trail.js';
import { WsClient } from '../support/ws-client.js';

const SESSIONS = 20;
/** It is to take 10 s at most; the machine of a test may be slow. */
const LOST_MS = 20_000;

describe('killing the runner with twenty live sessions', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSIONS_PER_USER: String(SESSIONS) });
  });
  afterAll(() => gateway.remove());

  it('tells every client, takes every session for lost, leaves no process, and a new runner is there', async () => {
    const sleep = uniqueSleep();
    // Half of them ignore that their terminal ends.
    const program = (index: number): string =>
      `${index % 2 === 0 ? "trap '' HUP TERM; " : ''}(setsid nohup sleep ${sleep} >/dev/null 2>&1 &); printf ready; exec sleep ${sleep}`;
    const ids = await Promise.all(
      Array.from({ length: SESSIONS }, (_, index) =>
        startSession(gateway, alice, { command: ['/bin/sh', '-c', program(index)] }),
      ),
    );
    const full = await rest(gateway, alice, 'POST', '/api/v1/sessions', { command: ['/bin/true'] });
    expect([full.status, codeOf(full)]).toEqual([429, 'SESSION_LIMIT']);

    const sockets = await Promise.all(
      ids.map((id) => WsClient.open(gateway, `/ws/pty?id=${id}&from=0`, { credential: alice })),
    );
    const several = await WsClient.open(gateway, '/ws', { credential: alice });
    for (const session of ids) {
      several.send({ type: 'attach', session, mode: 'viewer', from: 0 });
      await several.next('attached');
    }
    const grpc = new GrpcClient(gateway, alice);
    const streams = ids.map((session) => {
      const stream = grpc.attach();
      const end = endOf(stream);
      stream.write({ attach: { session, mode: 'ATTACH_MODE_VIEWER' } });
      return { end, attached: once(stream, 'data') };
    });
    await Promise.all(streams.map(({ attached }) => attached));
    for (const socket of sockets) await socket.sees('ready');
    for (let channel = 0; channel < SESSIONS; channel += 1) await several.sees('ready', channel);
    await until('all processes run', () => alive(`sleep\0${sleep}`).length === 2 * SESSIONS);

    const [runner = 0] = gateway.runnerPids();
    process.kill(runner, 'SIGKILL');
    const begin = performance.now();
    const ends = await Promise.all(sockets.map((socket) => socket.closes()));
    expect(ends).toEqual(ids.map(() => ({ code: 1013, reason: 'RUNNER_UNAVAILABLE' })));
    const told = await Promise.all(ids.map(() => several.next('detached')));
    expect(new Set(told.map(({ channel }) => channel)).size).toBe(SESSIONS);
    expect(told.every(({ code, offset }) => code === 'RUNNER_UNAVAILABLE' && offset === 5)).toBe(true);
    expect(several.closed).toBeNull();
    const statuses = (await Promise.all(streams.map(({ end }) => end))) as ServiceError[];
    expect(statuses.map((error) => `${String(error.code)} ${reasonOf(error)}`)).toEqual(
      ids.map(() => '14 RUNNER_UNAVAILABLE'),
    );

    const lost = async (): Promise<unknown[]> =>
      gateway.query("SELECT id FROM sessions WHERE state = 'lost' AND reason = 'runner_lost' AND ended_at IS NOT NULL");
    await until('all are lost', async () => (await lost()).length === SESSIONS, LOST_MS);
    console.log(`all lost after ${String(Math.round(performance.now() - begin))} ms`);
    const running = await rest(gateway, alice, 'GET', '/api/v1/sessions?state=running');
    expect(running.body['items']).toEqual([]);
    await until('each is in the trail', async () =>
      (await rowsPerSession(gateway, 'pty.lost', ids)).every((count) => count > 0),
    );
    for (const action of ['pty.start', 'pty.lost']) {
      expect(await rowsPerSession(gateway, action, ids)).toEqual(onceEach(ids));
    }
    expect(await gateway.audit({ action: 'pty.exit' }, 0)).toEqual([]);

    const [id = ''] = ids;
    const late = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice }).then((one) => one.closes());
    expect(late).toEqual({ code: 4004, reason: 'SESSION_LOST' });
    expect(codeOf(await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output`))).toBe('SESSION_LOST');
    expect(reasonOf(await refused(grpc.call('write', { id, data: Buffer.from('x') })))).toBe('SESSION_LOST');

    await until('a new runner', () => gateway.runnerPids().some((pid) => pid !== runner));
    await until('it is in order', async () => (await rest(gateway, null, 'GET', '/health/ready')).status === 200);
    const next = await startSession(gateway, alice, { command: ['/bin/sh', '-c', 'printf new; exec cat'] });
    several.send({ type: 'attach', session: next, mode: 'controller' });
    expect(await several.next('attached')).toMatchObject({ session: next, mode: 'controller' });
    expect([...(await runnerSessions(gateway)).keys()]).toEqual([next]);
    await until('what the dead runner left is gone', () => alive(`sleep\0${sleep}`).length === 0);
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${next}`)).body['state']).toBe('running');
    grpc.close();
    several.close();
  }, 120_000);
});
