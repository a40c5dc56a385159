import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { waitingFor, whileLocked } from '../support/locks.js';
import { type Answer, codeOf, rest, startSession } from '../support/rest.js';

const MAX_WAITS_EACH = 100;

describe('waiting for the end of a session', () => {
  let gateway: TestGateway;
  let other: TestGateway;
  let grpc: GrpcClient;
  const alice = token();
  const start = (...command: string[]): Promise<string> => startSession(gateway, alice, { command });
  const kill = (id: string) => rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`);
  const overRest = (id: string, query = '', on = gateway, by = alice): Promise<Answer> =>
    rest(on, by, 'GET', `/api/v1/sessions/${id}/wait${query}`);
  /** Whether a gateway has somebody waiting: only then is there a look at the sessions of others. */
  const settled = async <T>(call: Promise<T>): Promise<'waiting' | 'over'> => {
    let state: 'waiting' | 'over' = 'waiting';
    const over = (): void => {
      state = 'over';
    };
    call.then(over, over);
    // A call that is answered at once has been by the time another round trip is over.
    for (let round = 0; round < 5; round += 1) await rest(gateway, alice, 'GET', '/api/v1/sessions?limit=1');
    return state;
  };

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSIONS_PER_USER: '100' });
    other = await gateway.sibling();
    grpc = new GrpcClient(gateway, alice);
  });
  afterAll(async () => {
    grpc.close();
    await other.end();
    await gateway.remove();
  });

  it('is over at once when it has ended already', async () => {
    const id = await start('/bin/sh', '-c', 'exit 7');
    await until('the end', async () => (await overRest(id)).body['state'] === 'exited');
    expect(await grpc.call('waitExit', { id })).toMatchObject({
      session: { id, state: 'SESSION_STATE_EXITED', exit_code: 7, reason: 'exited' },
    });
  });

  it('is over when it ends, for all that wait, on every gateway and transport', async () => {
    const id = await start('/bin/cat');
    const elsewhere = new GrpcClient(other, alice);
    const calls = [grpc.call('waitExit', { id }), elsewhere.call('waitExit', { id, timeout_seconds: 3600 })];
    const polls = [overRest(id), overRest(id, '?timeout_seconds=60', other)];
    expect(await Promise.all([...calls.map(settled), ...polls.map(settled)])).toEqual(Array(4).fill('waiting'));
    await kill(id);
    for (const answer of await Promise.all(calls)) {
      expect(answer).toMatchObject({ session: { state: 'SESSION_STATE_KILLED', reason: 'killed' } });
    }
    for (const answer of await Promise.all(polls)) {
      expect(answer).toMatchObject({ status: 200, body: { state: 'killed', reason: 'killed' } });
    }
    elsewhere.close();
  });

  it('is over on a gateway that does not reach its runner, too', async () => {
    const stranger = await gateway.stranger();
    const id = await start('/bin/cat');
    const waiting = overRest(id, '', stranger);
    expect(await settled(waiting)).toBe('waiting');
    await kill(id);
    expect(await waiting).toMatchObject({ status: 200, body: { state: 'killed' } });
    await stranger.remove();
  });

  it('gives the session as it is when the time is up', async () => {
    const id = await start('/bin/cat');
    expect(await overRest(id, '?timeout_seconds=1')).toMatchObject({ status: 200, body: { state: 'running' } });
    const answer = await grpc.call('waitExit', { id, timeout_seconds: 1 });
    expect(answer).toMatchObject({ session: { state: 'SESSION_STATE_RUNNING' } });
  });

  it.each(['?timeout_seconds=0', '?timeout_seconds=61', '?timeout_seconds=1.5', '?timeout_seconds=x', '?wait=1'])(
    'refuses %s',
    async (query) => {
      const answer = await overRest(await start('/bin/true'), query);
      expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
    },
  );

  it.each([0, 3601])('refuses %i seconds over gRPC', async (timeout_seconds) => {
    const error = await refused(grpc.call('waitExit', { id: await start('/bin/true'), timeout_seconds }));
    expect([error.code, reasonOf(error)]).toEqual([3, 'INVALID_ARGUMENT']);
  });

  it('is over with the credential, and when that or the share is taken back', async () => {
    const id = await start('/bin/cat');
    const now = Math.floor(Date.now() / 1000);
    const short = await overRest(id, '', gateway, token({ exp: now + 10 }));
    expect([short.status, codeOf(short)]).toEqual([401, 'SESSION_EXPIRED']);
    const jti = randomUUID();
    const revocable = new GrpcClient(gateway, token({ jti }));
    const revoked = refused(revocable.call('waitExit', { id }));
    expect(await settled(revoked)).toBe('waiting');
    const admin = token({ sub: 'root', roles: ['admin'] });
    await rest(other, admin, 'POST', '/api/v1/auth/revocations', { jti });
    expect([(await revoked).code, reasonOf(await revoked)]).toEqual([16, 'TOKEN_REVOKED']);
    revocable.close();
    const grantee = { kind: 'subject', name: 'bob' };
    const shared = await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/share`, { grantee, level: 'view' });
    const bobs = overRest(id, '', gateway, token({ sub: 'bob' }));
    expect(await settled(bobs)).toBe('waiting');
    await rest(other, alice, 'DELETE', `/api/v1/sessions/${id}/share/${String(shared.body['id'])}`);
    const ended = await bobs;
    expect([ended.status, codeOf(ended)]).toEqual([403, 'PERMISSION_DENIED']);
    expect(await gateway.audit({ action: 'authz.downgraded', user_id: 'bob' })).toMatchObject([
      { resource: `session:${id}`, metadata: { to: 'ended', permission: 'pty:view' } },
    ]);
  });

  it('is bounded for each principal, and a caller that hangs up makes room', async () => {
    const id = await start('/bin/cat');
    const carol = token({ sub: 'carol', roles: ['operator'] });
    const client = new GrpcClient(gateway, carol);
    const refusals: string[] = [];
    const calls = Array.from({ length: MAX_WAITS_EACH + 5 }, () =>
      client.client.waitExit({ id }, client.metadata, (error) => {
        if (error?.code !== status.CANCELLED) refusals.push(error === null ? 'answered' : reasonOf(error));
      }),
    );
    await until('the limit', () => refusals.length >= 5);
    expect(refusals).toEqual(Array(5).fill('WAIT_LIMIT'));
    const more = (): Promise<Answer> => overRest(id, '?timeout_seconds=1', gateway, carol);
    const refusedPoll = await more();
    expect([refusedPoll.status, codeOf(refusedPoll)]).toEqual([429, 'WAIT_LIMIT']);
    // Others are not in the way of it.
    expect((await overRest(id, '?timeout_seconds=1')).status).toBe(200);
    for (const call of calls) call.cancel();
    await until('room', async () => (await more()).status === 200);
    client.close();
  });

  it('makes room when a poll over REST is given up, too', async () => {
    const id = await start('/bin/cat');
    const emma = token({ sub: 'emma', roles: ['operator'] });
    const given = new AbortController();
    const poll = () =>
      fetch(`${gateway.url}/api/v1/sessions/${id}/wait`, {
        headers: { authorization: `Bearer ${emma}` },
        signal: given.signal,
      }).then(
        (answer) => answer.status,
        () => 0,
      );
    let refusals = 0;
    const polls = Array.from({ length: MAX_WAITS_EACH + 1 }, async () => {
      const code = await poll();
      if (code === 429) refusals += 1;
      return code;
    });
    await until('the limit', () => refusals > 0);
    given.abort();
    expect((await Promise.all(polls)).filter((code) => code !== 0)).toEqual([429]);
    await until('room', async () => (await overRest(id, '?timeout_seconds=1', gateway, emma)).status === 200);
  });

  it('makes room when polls are given up before they are let in, too', async () => {
    const id = await start('/bin/cat');
    const frank = token({ sub: 'frank', roles: ['operator'] });
    const given = new AbortController();
    // On a gateway that has to ask PostgreSQL whose session it is, and cannot just now.
    await whileLocked(gateway, 'sessions', async () => {
      const polls = Array.from({ length: MAX_WAITS_EACH }, () =>
        fetch(`${other.url}/api/v1/sessions/${id}/wait`, {
          headers: { authorization: `Bearer ${frank}` },
          signal: given.signal,
        }).catch(() => undefined),
      );
      await until('they wait for the table', async () => (await waitingFor(gateway, 'sessions')) > 0);
      for (let round = 0; round < 20; round += 1) await rest(other, null, 'GET', '/health/live');
      given.abort();
      await Promise.all(polls);
      for (let round = 0; round < 20; round += 1) await rest(other, null, 'GET', '/health/live');
    });
    await until('room', async () => (await overRest(id, '?timeout_seconds=1', other, frank)).status === 200);
  });

  it('has room again after deadlines, too', async () => {
    const id = await start('/bin/cat');
    const dora = token({ sub: 'dora', roles: ['operator'] });
    const client = new GrpcClient(gateway, dora);
    const codes = await Promise.all(
      Array.from({ length: MAX_WAITS_EACH }, () => {
        const { promise, resolve } = Promise.withResolvers<number | undefined>();
        client.client.waitExit({ id }, client.metadata, { deadline: Date.now() + 1500 }, (error) => {
          resolve(error?.code);
        });
        return promise;
      }),
    );
    expect(new Set(codes)).toEqual(new Set([status.DEADLINE_EXCEEDED]));
    await until('room', async () => (await overRest(id, '?timeout_seconds=1', gateway, dora)).status === 200);
    client.close();
  });

  it('does not keep a server from stopping', async () => {
    const third = await gateway.sibling();
    const id = await start('/bin/cat');
    const client = new GrpcClient(third, alice);
    const call = refused(client.call('waitExit', { id }));
    const poll = overRest(id, '', third);
    expect(await Promise.all([settled(call), settled(poll)])).toEqual(['waiting', 'waiting']);
    expect(await third.end('SIGTERM')).toBe(0);
    expect([(await call).code, reasonOf(await call)]).toEqual([14, 'GOING_AWAY']);
    expect([(await poll).status, codeOf(await poll)]).toEqual([503, 'GOING_AWAY']);
    expect(third.log.some(({ msg }) => msg === 'calls were cut off by the stop')).toBe(false);
    client.close();
  });
});
