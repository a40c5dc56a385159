import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AttachResponse__Output } from '../../src/generated/gatehouse/pty/v1/AttachResponse.js';
import { DatabaseProxy } from '../support/database-proxy.js';
import { createDatabase, pause, TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { onceEach, rowsPerSession } from '../support/trail.js';
import { WsClient } from '../support/ws-client.js';

const AWAY_MS = 30_000;

describe('with PostgreSQL away for thirty seconds', () => {
  let gateway: TestGateway;
  let proxy: DatabaseProxy;
  const alice = token();

  beforeAll(async () => {
    proxy = await DatabaseProxy.open(await createDatabase());
    gateway = await TestGateway.start({ DATABASE_URL: proxy.url });
  });
  afterAll(async () => {
    await proxy.mend();
    await gateway.remove();
    await proxy.cut();
  });

  it('open terminals go on, what needs it is refused, and afterwards everything is on record', async () => {
    const start = (command: string[]): Promise<string> => startSession(gateway, alice, { command });
    const [typed, streamed, leaving, closed, gone] = await Promise.all([
      start(['/bin/cat']),
      start(['/bin/cat']),
      start(['/bin/sh', '-c', 'read go; exit 5']),
      start(['/bin/cat']),
      start(['/bin/cat']),
    ]);
    const open = (id: string): Promise<WsClient> =>
      WsClient.open(gateway, `/ws/pty?id=${id}&mode=controller`, { credential: alice });
    const [ws, exits, closes] = [await open(typed), await open(leaving), await open(closed)];
    const grpc = new GrpcClient(gateway, alice);
    const stream = grpc.attach();
    let echoed = '';
    stream.on('data', ({ output }: AttachResponse__Output) => (echoed += output?.data?.toString() ?? ''));
    stream.on('error', () => undefined);
    stream.write({ attach: { session: streamed, mode: 'ATTACH_MODE_CONTROLLER' } });
    await once(stream, 'data');
    for (const one of [ws, exits, closes]) await one.next('attached');

    const begin = performance.now();
    await proxy.cut();
    let line = 0;
    const type = async (): Promise<void> => {
      line += 1;
      const text = `line-${String(line)}-away`;
      ws.send({ type: 'input', data: `${text}\n` });
      stream.write({ input: { data: Buffer.from(`${text}\n`) } });
      await ws.sees(`${text}\r\n${text}\r\n`);
      await until('the echo on the stream', () => echoed.includes(`${text}\r\n${text}\r\n`));
    };
    await type();
    exits.send({ type: 'input', data: '\n' });
    expect(await exits.next('process_exited')).toMatchObject({ exit_code: 5 });
    closes.close();
    const refusals = async (): Promise<unknown[]> => {
      const late = await WsClient.open(gateway, `/ws/pty?id=${gone}`, { credential: alice }).then((one) =>
        one.closes(),
      );
      const answers = await Promise.all([
        rest(gateway, alice, 'GET', '/api/v1/sessions'),
        rest(gateway, alice, 'POST', '/api/v1/sessions', { command: ['/bin/true'] }),
        rest(gateway, alice, 'DELETE', `/api/v1/sessions/${gone}`),
        rest(gateway, alice, 'GET', '/health/ready'),
      ]);
      const error = await refused(grpc.call('get', { id: gone }));
      return [
        ...answers.map((answer) => [answer.status, codeOf(answer)].join(' ')),
        `${String(error.code)} ${reasonOf(error)}`,
        `${String(late.code)} ${late.reason}`,
      ];
    };
    for (const refusal of await refusals()) {
      expect(refusal).toMatch(/^(503|14|1013) (DATABASE_UNAVAILABLE|AUDIT_UNAVAILABLE|)$/);
    }
    while (performance.now() - begin < AWAY_MS) {
      await type();
      await pause(1000);
    }
    for (const refusal of await refusals()) {
      expect(refusal).toMatch(/^(503|14|1013) (DATABASE_UNAVAILABLE|AUDIT_UNAVAILABLE|)$/);
    }
    await proxy.mend();

    await until('it is in order again', async () => (await rest(gateway, null, 'GET', '/health/ready')).status === 200);
    await type();
    const state = async (id: string): Promise<unknown> =>
      (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state'];
    await until('the end is on record', async () => (await state(leaving)) === 'exited');
    for (const id of [typed, streamed, closed, gone]) expect(await state(id)).toBe('running');
    expect((await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${gone}`)).status).toBe(200);
    const more = await start(['/bin/true']);
    const sessions = [typed, streamed, leaving, closed, gone, more];
    expect((await gateway.query('SELECT id FROM sessions')).map(({ id }) => id).sort()).toEqual([...sessions].sort());
    ws.send({ type: 'kill' });
    await ws.closes();
    stream.write({ kill: {} });
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${closed}`);
    await until('all ends are in the trail', async () =>
      (await rowsPerSession(gateway, 'pty.exit', sessions)).every((count) => count > 0),
    );
    for (const action of ['pty.start', 'pty.exit']) {
      expect(await rowsPerSession(gateway, action, sessions)).toEqual(onceEach(sessions));
    }
    await until('who came and went is in the trail', async () => {
      const watched = [typed, streamed, leaving, closed];
      const [came, went] = [
        await rowsPerSession(gateway, 'pty.attach', watched),
        await rowsPerSession(gateway, 'pty.detach', watched),
      ];
      return came.join() === '1,1,1,1' && went.join() === '1,1,1,1';
    });
    // It was the database that was away.
    expect(await gateway.audit({ action: 'runner.lost' }, 0)).toEqual([]);
    grpc.close();
  }, 120_000);
});
