import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { waitingFor, whileLocked } from '../support/locks.js';
import { startSession } from '../support/rest.js';

describe('the end of a session', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start({ RUNNER_PERSIST: 'true' });
  });
  afterAll(() => gateway.remove());

  const start = (): Promise<string> => startSession(gateway, alice, { command: ['/bin/cat'], name: 'ends' });
  const row = async (id: string): Promise<Record<string, unknown>> =>
    (await gateway.query('SELECT * FROM sessions WHERE id = $1', [id]))[0] ?? {};
  const endProcess = async (id: string): Promise<void> => {
    process.kill(Number((await row(id))['pid']), 'SIGKILL');
    await until('the end to be in the table', async () => (await row(id))['ended_at'] !== null);
  };
  const told = (id: string): Promise<void> =>
    until('its event to be known as safe', async () => (await row(id))['end_event'] === null);
  const events = (id: string): Promise<Record<string, unknown>[]> =>
    gateway.query(`SELECT * FROM audit_trail WHERE resource = $1 AND action IN ('pty.exit', 'pty.lost')`, [
      `session:${id}`,
    ]);

  it('is on record when the gateway was killed after the end and before its event', async () => {
    const id = await start();
    await whileLocked(gateway, 'audit_events', async () => {
      await endProcess(id);
      await until('the event to wait', async () => (await waitingFor(gateway, 'audit_events')) > 0);
      await gateway.end('SIGKILL');
      // PostgreSQL does not see that its client is gone, and would write it all the same.
      await gateway.query(
        `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'audit_events'::regclass`,
      );
      await until('the event to be lost', async () => (await waitingFor(gateway, 'audit_events')) === 0);
    });
    expect(await events(id)).toEqual([]);
    await gateway.launch();
    await told(id);
    expect(await events(id)).toMatchObject([
      { action: 'pty.exit', tenant: 'default', success: true, metadata: { signal: 'SIGKILL', owner: 'alice' } },
    ]);
  });

  it('is on record once when two gateways find it at the same moment, or it was on record already', async () => {
    const [lost, known] = [await start(), await start()];
    for (const id of [lost, known]) {
      await endProcess(id);
      await told(id);
    }
    const [event] = await events(known);
    const at = Date.parse(String(event?.['timestamp'])) + 1;
    await gateway.end();
    const keep = 'UPDATE sessions SET end_event = $2, end_event_at = $3 WHERE id = $1';
    const precise = await gateway.query(
      'SELECT (extract(epoch FROM timestamp) * 1000000)::bigint::text AS at FROM audit_events WHERE id = $1',
      [event?.['id']],
    );
    await gateway.query(keep, [known, event?.['id'], precise[0]?.['at']]);
    await gateway.query(keep, [lost, '01890000-0000-7000-8000-000000000001', String(at * 1000)]);
    const [sibling] = await Promise.all([gateway.sibling(), gateway.launch()]);
    try {
      await Promise.all([told(lost), told(known)]);
      expect(await events(known)).toHaveLength(1);
      // Its own event, and the one that stands for one that was never written.
      const ids = (await events(lost)).map((each) => each['id']);
      expect(ids).toHaveLength(2);
      expect(new Set(ids)).toContain('01890000-0000-7000-8000-000000000001');
    } finally {
      await sibling.end();
    }
  });

  it('is looked for by an index, however many sessions have ended', async () => {
    await gateway.query(
      `INSERT INTO sessions (id, runner, tenant, name, owner_provider, owner_subject, state, command, cwd, cols, rows, ended_at)
       SELECT gen_random_uuid(), runner, 'default', 'old', 'gatehouse', 'bob', 'exited', '{true}', '/', 80, 24, now()
       FROM generate_series(1, 10000), (SELECT runner FROM sessions LIMIT 1) AS known`,
    );
    await gateway.query('ANALYZE sessions');
    const plan = await gateway.query(
      `EXPLAIN SELECT * FROM sessions WHERE runner = (SELECT runner FROM sessions LIMIT 1)
         AND end_event IS NOT NULL AND end_event_at <= 1 ORDER BY end_event_at LIMIT 500`,
    );
    expect(JSON.stringify(plan)).toContain('sessions_end_untold');
  });
});
