import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AttachResponse__Output } from '../../src/generated/gatehouse/pty/v1/AttachResponse.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { type AttachStream, GrpcClient } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { untilSessionQuiet } from '../support/terminal-settings.js';
import { onceEach, rowsPerSession } from '../support/trail.js';
import { WsClient } from '../support/ws-client.js';

describe('two gateways on one runner', () => {
  let here: TestGateway;
  let there: TestGateway;
  const alice = token();

  beforeAll(async () => {
    here = await TestGateway.start();
    there = await here.sibling();
  });
  afterAll(async () => {
    await there.end();
    await here.remove();
  });

  const attach = async (gateway: TestGateway, id: string, query = ''): Promise<WsClient> =>
    WsClient.open(gateway, `/ws/pty?id=${id}${query}`, { credential: alice });

  it('a session that one started is typed into, watched, resized and ended through the other', async () => {
    const id = await startSession(here, alice, { command: ['/bin/cat'] });
    const viewer = await attach(here, id, '&mode=viewer');
    expect(await viewer.next('attached')).toMatchObject({ mode: 'viewer' });
    const controller = await attach(there, id, '&cols=101&rows=31');
    expect(await controller.next('attached')).toMatchObject({ mode: 'controller', cols: 101, rows: 31 });
    controller.send({ type: 'input', data: 'from there\n' });
    for (const client of [controller, viewer]) await client.sees('from there\r\nfrom there\r\n');
    expect((await rest(there, alice, 'POST', `/api/v1/sessions/${id}/input`, { data: 'by rest\n' })).status).toBe(204);
    for (const client of [controller, viewer]) await client.sees('by rest\r\nby rest\r\n');
    expect(viewer.bytes().equals(controller.bytes())).toBe(true);
    const seen = await rest(here, alice, 'GET', `/api/v1/sessions/${id}`);
    await until('the size is known to both', async () =>
      Promise.all([here, there].map((one) => rest(one, alice, 'GET', `/api/v1/sessions/${id}`))).then((answers) =>
        answers.every(({ body }) => body['cols'] === 101 && body['rows'] === 31),
      ),
    );
    expect(seen.body['state']).toBe('running');
    expect((await rest(here, alice, 'DELETE', `/api/v1/sessions/${id}`)).status).toBe(200);
    for (const client of [controller, viewer]) {
      expect(await client.next('process_exited')).toMatchObject({ reason: 'killed' });
    }
    for (const gateway of [here, there]) {
      expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state']).toBe('killed');
      expect(codeOf(await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`))).toBe('SESSION_ENDED');
    }
    // Both gateways heard of the end.
    await until('the end is in the trail', async () => (await rowsPerSession(here, 'pty.exit', [id]))[0] === 1);
    expect(await rowsPerSession(here, 'pty.start', [id])).toEqual(onceEach([id]));
  });

  it('control is taken over from one to the other, between transports too, and never held twice', async () => {
    const id = await startSession(here, alice, { command: ['/bin/cat'] });
    const first = await attach(here, id);
    expect(await first.next('attached')).toMatchObject({ mode: 'controller' });
    const second = await attach(there, id, '&mode=controller');
    expect(await second.next('attached')).toMatchObject({ mode: 'viewer' });
    second.send({ type: 'take_control' });
    expect(await second.next('mode_changed')).toMatchObject({ mode: 'controller', reason: 'taken' });
    expect(await first.next('mode_changed')).toMatchObject({ mode: 'viewer', reason: 'taken_over' });
    first.send({ type: 'input', data: 'not mine any more\n' });
    expect(await first.next('error')).toMatchObject({ code: 'NOT_CONTROLLER' });
    second.send({ type: 'input', data: 'mine\n' });
    await first.sees('mine\r\nmine\r\n');

    const grpc = new GrpcClient(here, alice);
    const stream: AttachStream = grpc.attach();
    const frames: AttachResponse__Output[] = [];
    stream.on('data', (frame: AttachResponse__Output) => frames.push(frame)).on('error', () => undefined);
    stream.write({ attach: { session: id, from: 0, mode: 'ATTACH_MODE_VIEWER' } });
    await once(stream, 'data');
    stream.write({ take_control: {} });
    expect(await second.next('mode_changed')).toMatchObject({ mode: 'viewer', reason: 'taken_over' });
    await until('the stream is told', () => frames.some((frame) => frame.mode_changed?.reason === 'taken'));
    stream.write({ input: { data: Buffer.from('by stream\n') } });
    for (const client of [first, second]) await client.sees('by stream\r\nby stream\r\n');
    expect(first.bytes().toString()).not.toContain('not mine');
    // The controller goes; nobody is promoted, and whoever asks next has it.
    stream.cancel();
    grpc.close();
    await until('control is free', async () => {
      const third = await attach(there, id, '&mode=controller');
      const { mode } = await third.next('attached');
      third.close();
      return mode === 'controller';
    });
    await rest(there, alice, 'DELETE', `/api/v1/sessions/${id}`);
    for (const client of [first, second]) await client.next('process_exited');
  });

  it('clients on both get the same bytes of a flood, each from its own offset', async () => {
    const id = await startSession(here, alice, { command: ['/bin/sh', '-c', 'stty raw -echo; read go; seq 1 200000'] });
    const controller = await attach(there, id);
    await controller.next('attached');
    await untilSessionQuiet(here, alice, id);
    controller.send({ type: 'input', data: '\n' });
    expect(await controller.next('process_exited', 40_000)).toMatchObject({ exit_code: 0 });
    const all = Array.from({ length: 200_000 }, (_, index) => `${String(index + 1)}\n`).join('');
    expect(controller.bytes().toString() === all).toBe(true);
    for (const [gateway, from] of [
      [here, 0],
      [there, 1_000_001],
    ] as const) {
      const late = await attach(gateway, id, `&from=${String(from)}`);
      await late.next('process_exited', 40_000);
      expect(late.bytes().toString() === all.slice(from)).toBe(true);
    }
  });
});
