import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { DatabaseProxy } from '../support/database-proxy.js';
import { createDatabase, TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { Terminals } from '../support/terminals.js';
import { WsClient } from '../support/ws-client.js';

describe('with PostgreSQL away', () => {
  let gateway: TestGateway;
  let proxy: DatabaseProxy;
  const alice = token();
  const live = (credential: string) => rest(gateway, credential, 'GET', '/api/v1/auth/info');

  beforeAll(async () => {
    proxy = await DatabaseProxy.open(await createDatabase());
    gateway = await TestGateway.start({ DATABASE_URL: proxy.url, AUTH_STATE_MAX_AGE_SECONDS: '4' });
  });
  afterAll(async () => {
    await proxy.cut();
    await proxy.mend();
    await gateway.remove();
    await proxy.cut();
  });

  it('what is known serves to its stated age, then nothing is let in, open terminals included, until it is back', async () => {
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    expect((await live(gateway.adminKey)).status).toBe(200);
    const terminals = await Terminals.open([gateway], session, alice);
    await proxy.cut();
    for (const credential of [alice, gateway.adminKey]) expect((await live(credential)).status).toBe(200);
    expect(terminals.open).toBe(true);
    expect(await terminals.closed()).toEqual([
      { code: 1013, reason: 'AUTH_STATE_UNAVAILABLE' },
      { code: 14, reason: 'AUTH_STATE_UNAVAILABLE' },
    ]);
    for (const credential of [alice, gateway.adminKey, token({ sub: 'new' })]) {
      const answer = await live(credential);
      expect([answer.status, codeOf(answer)]).toEqual([503, 'AUTH_STATE_UNAVAILABLE']);
    }
    const grpc = new GrpcClient(gateway, alice);
    expect(reasonOf(await refused(grpc.call('list', {})))).toBe('AUTH_STATE_UNAVAILABLE');
    grpc.close();
    const upgrade = (await refused(WsClient.open(gateway, '/ws', { credential: alice }))) as unknown as {
      status: number;
    };
    expect(upgrade.status).toBe(503);
    const ws = await WsClient.open(gateway, '/ws');
    ws.send({ type: 'authenticate', token: alice });
    expect(await ws.next('error')).toMatchObject({ code: 'AUTH_STATE_UNAVAILABLE' });
    ws.close();
    await proxy.mend();
    for (const credential of [alice, gateway.adminKey]) {
      await until('it is known again', async () => (await live(credential)).status === 200);
    }
    const again = await Terminals.open([gateway], session, alice);
    again.close();
  });

  it('a key that was not used before is not let in, until it is back', async () => {
    const made = await rest(gateway, gateway.adminKey, 'POST', '/api/v1/api-keys', { name: 'unused', roles: ['user'] });
    await proxy.cut();
    const unknown = await live(String(made.body['key']));
    expect([unknown.status, codeOf(unknown)]).toEqual([503, 'AUTH_STATE_UNAVAILABLE']);
    await proxy.mend();
    await until('it is known again', async () => (await live(alice)).status === 200);
    expect((await live(String(made.body['key']))).status).toBe(200);
  });

  it('connections that hang without a word are replaced, and what was revoked meanwhile is taken back', async () => {
    const jti = randomUUID();
    const bob = token({ sub: 'bob', roles: ['operator'], jti });
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const mine = await Terminals.open([gateway], session, alice);
    const his = await Terminals.open([gateway], session, bob);
    proxy.freeze();
    const client = new Client({ connectionString: proxy.url });
    await client.connect();
    await client.query(
      `INSERT INTO revocations (id, tenant, kind, jti, before, own, created_by, expires_at)
       VALUES ($1, 'default', 'jti', $2, now(), false, 'by hand', now() + interval '1 day')`,
      [randomUUID(), jti],
    );
    await client.end();
    const reasons = (await his.closed()).map(({ reason }) => reason);
    // Its knowledge may be too old before it finds that nobody answers: then nothing is let in until it knows again.
    for (const reason of reasons) expect(['TOKEN_REVOKED', 'AUTH_STATE_UNAVAILABLE']).toContain(reason);
    await until('it knows again', async () => codeOf(await live(bob)) === 'TOKEN_REVOKED');
    expect((await live(alice)).status).toBe(200);
    mine.close();
  });
});
