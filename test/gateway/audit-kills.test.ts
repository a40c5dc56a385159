import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { wholeChains } from '../support/chain.js';
import { DatabaseProxy } from '../support/database-proxy.js';
import { createDatabase, pause, TestGateway, token, until } from '../support/gateway.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

/** `npm run proof:kills` has fifty. */
const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? '2');
const CALLERS = 6;

describe('a gateway that is killed at any instant', () => {
  let gateway: TestGateway;
  let session: string;
  const alice = token({ roles: ['admin'], exp: Math.floor(Date.now() / 1000) + 7200 });
  /** Request ids of the calls that were answered with success. */
  const answered: string[] = [];
  let [calls, stopped] = [0, false];

  beforeAll(async () => {
    gateway = await TestGateway.start({ RUNNER_PERSIST: 'true' });
    session = await startSession(gateway, alice, { command: ['/bin/cat'] });
  });
  afterAll(() => gateway.remove());

  /** Does one audited thing after the other, whoever answers. */
  async function caller(): Promise<void> {
    while (!stopped) {
      calls += 1;
      const id = `kill-${String(calls)}`;
      const mint = calls % 2 === 0;
      const path = mint ? '/api/v1/auth/tokens' : `/api/v1/sessions/${session}/signal`;
      const body = mint ? { ttl_seconds: 60 } : { signal: 'WINCH' };
      const answer = await rest(gateway, alice, 'POST', path, body, { 'x-request-id': id }).catch(() => null);
      if (answer === null) await pause(20);
      else if (answer.status < 300) answered.push(id);
    }
  }

  it(
    `has a row for everything that it confirmed, none twice, and a whole chain (${String(ROUNDS)} rounds)`,
    async () => {
      const callers = Array.from({ length: CALLERS }, caller);
      for (let round = 0; round < ROUNDS; round += 1) {
        const before = answered.length;
        await until('work to be done', () => answered.length > before + 50);
        await pause(Math.random() * 200);
        await gateway.end('SIGKILL');
        await gateway.launch();
      }
      stopped = true;
      await Promise.all(callers);
      await gateway.end();
      const rows = await gateway.query(
        `SELECT request_id, count(*)::int AS rows FROM audit_events
         WHERE success AND action IN ('auth.token_minted', 'pty.signal') GROUP BY request_id`,
      );
      const count = new Map(rows.map(({ request_id: id, rows: times }) => [id, times]));
      expect(answered.filter((id) => count.get(id) !== 1)).toEqual([]);
      expect(rows.filter(({ rows: times }) => times !== 1)).toEqual([]);
      const chains = await wholeChains(gateway);
      expect(chains.size).toBe(1);
      const lines = new Set(gateway.log.filter(({ audit }) => audit === true).map(({ request_id: id }) => id));
      expect(answered.filter((id) => !lines.has(id))).toEqual([]);
    },
    120_000 + ROUNDS * 20_000,
  );
});

describe.each(['closed', 'spool'] as const)('with PostgreSQL away and AUDIT_FAIL_MODE=%s', (mode) => {
  let gateway: TestGateway;
  let proxy: DatabaseProxy;
  const alice = token({ roles: ['admin'] });

  beforeAll(async () => {
    proxy = await DatabaseProxy.open(await createDatabase());
    gateway = await TestGateway.start({ DATABASE_URL: proxy.url, AUDIT_FAIL_MODE: mode, RUNNER_PERSIST: 'true' });
  });
  afterAll(async () => {
    await proxy.mend();
    await gateway.remove();
    await proxy.cut();
  });

  it('an open terminal goes on, what it does is as the mode says, and no event is lost though the gateway is killed', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    await ws.next('attached');
    await proxy.cut();
    const ready = async (): Promise<Record<string, unknown>> =>
      (await rest(gateway, null, 'GET', '/health/ready')).body['checks'] as Record<string, unknown>;
    const mint = async (): Promise<unknown> => {
      const answer = await rest(gateway, alice, 'POST', '/api/v1/auth/tokens', { ttl_seconds: 60 });
      return answer.status === 201 ? 201 : codeOf(answer);
    };
    // The first is how it is noticed that PostgreSQL is away.
    const expected = mode === 'closed' ? 'AUDIT_UNAVAILABLE' : 201;
    expect([await mint(), await mint()]).toEqual([expected, expected]);
    ws.send({ type: 'input', data: 'hello\n' });
    await ws.sees('hello\r\nhello\r\n');
    expect(await ready()).toMatchObject({ audit: mode === 'closed' ? 'unavailable' : 'ok', spool: 'ok' });
    ws.close();
    await until('the end to be told', () => gateway.log.some(({ action }) => action === 'pty.detach'));
    await gateway.end('SIGKILL');
    await proxy.mend();
    await gateway.launch();
    const told = gateway.log.filter(({ audit }) => audit === true);
    await until('all that was told to be in the table', async () => {
      const rows = await gateway.query('SELECT id FROM audit_events');
      return told.every(({ id: event }) => rows.some((row) => row['id'] === event));
    });
    const minted = told.filter(({ action, success }) => action === 'auth.token_minted' && success === true);
    expect(minted).toHaveLength(mode === 'closed' ? 1 : 2);
    await wholeChains(gateway);
    await until('health', async () => (await rest(gateway, null, 'GET', '/health')).status === 200);
  }, 120_000);
});
