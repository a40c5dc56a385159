import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { DatabaseProxy } from '../support/database-proxy.js';
import { createDatabase, TestGateway, token, until } from '../support/gateway.js';
import { codeOf, rest } from '../support/rest.js';

const SESSIONS = '/api/v1/sessions';

describe('a start with a request id', () => {
  let gateway: TestGateway;
  let proxy: DatabaseProxy;
  const alice = token();
  const start = (request_id: string) => rest(gateway, alice, 'POST', SESSIONS, { command: ['/bin/cat'], request_id });
  /** Begins one that the runner, which is halted, does not answer. */
  const begin = async (request_id: string): Promise<{ first: ReturnType<typeof start>; runner: number }> => {
    const [runner = 0] = gateway.runnerPids();
    process.kill(runner, 'SIGSTOP');
    const first = start(request_id);
    await until('its row', async () => {
      const rows = await gateway.query('SELECT 1 FROM sessions WHERE request_id = $1', [request_id]);
      return rows.length > 0;
    });
    return { first, runner };
  };

  beforeAll(async () => {
    proxy = await DatabaseProxy.open(await createDatabase());
    gateway = await TestGateway.start({ DATABASE_URL: proxy.url });
  });
  afterAll(async () => {
    await proxy.mend();
    await gateway.remove();
    await proxy.cut();
  });

  it('that could not be recorded is none: repeated, it gives a session that runs', async () => {
    const { first, runner } = await begin('unrecorded');
    await proxy.cut();
    process.kill(runner, 'SIGCONT');
    const failed = await first;
    expect([failed.status, codeOf(failed)]).toEqual([503, 'DATABASE_UNAVAILABLE']);
    await proxy.mend();
    await until('the end of what had started', async () => {
      const [row] = await gateway.query("SELECT reason FROM sessions WHERE request_id = 'unrecorded'");
      return row?.['reason'] === 'start_failed';
    });
    let again = await start('unrecorded');
    // The trail notices a little later that the database is back.
    await until('mutations to be let in', async () => {
      if (codeOf(again) === 'AUDIT_UNAVAILABLE') again = await start('unrecorded');
      return codeOf(again) !== 'AUDIT_UNAVAILABLE';
    });
    expect([again.status, again.body['state'], again.body['reason']]).toEqual([201, 'running', null]);
    const repeated = await start('unrecorded');
    expect([repeated.status, repeated.body['id']]).toEqual([200, again.body['id']]);
  }, 90_000);

  it('that is not over in time is not shown as begun: who repeats it is told to ask again', async () => {
    const { first, runner } = await begin('slow');
    const second = await start('slow');
    process.kill(runner, 'SIGCONT');
    expect([second.status, codeOf(second), second.headers.get('retry-after')]).toEqual([
      503,
      'RUNNER_UNAVAILABLE',
      '1',
    ]);
    await first;
    await until('a session that runs', async () => (await start('slow')).body['state'] === 'running', 40_000);
  }, 90_000);
});
