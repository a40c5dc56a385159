import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AttachResponse__Output } from '../../src/generated/gatehouse/pty/v1/AttachResponse.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await TestGateway.start({ SESSIONS_PER_USER: '3', SESSIONS_PER_TENANT: '6' });
});
afterAll(() => gateway.remove());

describe('a session that has ended', () => {
  const alice = token();
  const text = Array.from({ length: 5000 }, (_, index) => `${String(index)}\n`).join('');
  let id = '';

  beforeAll(async () => {
    const script = 'stty raw -echo; seq 0 4999; exit 42';
    id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', script] });
    await until('its end', async () => {
      const { body } = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`);
      return body['state'] === 'exited';
    });
  });

  it('says how, on REST and gRPC', async () => {
    const { body } = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`);
    expect(body).toMatchObject({ state: 'exited', exit_code: 42, signal: null, reason: 'exited' });
    const grpc = new GrpcClient(gateway, alice);
    const { session } = await grpc.call('get', { id });
    expect(session).toMatchObject({ id, state: 'SESSION_STATE_EXITED', exit_code: 42, reason: 'exited' });
    const { items } = await grpc.call('list', { state: 'SESSION_STATE_EXITED' });
    expect((items as { id: string }[]).map((item) => item.id)).toContain(id);
    grpc.close();
  });

  it('is read over REST piece by piece, by offset', async () => {
    let whole = '';
    for (let from = 0; from < text.length;) {
      const piece = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output?from=${String(from)}&limit=7000`);
      expect([piece.status, piece.headers.get('x-output-offset')]).toEqual([200, String(from)]);
      whole += piece.text;
      from = Number(piece.headers.get('x-output-next'));
      expect(from).toBe(whole.length);
      expect(piece.headers.get('x-output-end')).toBe(String(text.length));
      expect(piece.headers.get('x-output-dropped-before')).toBe('0');
    }
    expect(whole === text).toBe(true);
    const beyond = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output?from=${String(text.length + 1)}`);
    expect([beyond.status, codeOf(beyond)]).toEqual([416, 'OFFSET_OUT_OF_RANGE']);
  });

  it('is attached to over WebSocket in both encodings, and its end is told last', async () => {
    for (const binary of [true, false]) {
      const ws = await WsClient.open(gateway, `/ws/pty?id=${id}&from=10`, { credential: alice, binary });
      expect(await ws.next('attached')).toMatchObject({ from: 10, mode: 'viewer' });
      expect(await ws.next('process_exited')).toMatchObject({ exit_code: 42, reason: 'exited' });
      expect(ws.bytes().toString() === text.slice(10)).toBe(true);
      expect((await ws.closes()).code).toBe(1000);
    }
  });

  it('is attached to over gRPC, and its end is told last', async () => {
    const grpc = new GrpcClient(gateway, alice);
    const stream = grpc.attach();
    const frames: AttachResponse__Output[] = [];
    const end = new Promise<ServiceError | null>((resolve) => {
      stream.on('data', (frame: AttachResponse__Output) => frames.push(frame));
      stream.on('end', () => {
        resolve(null);
      });
      stream.on('error', resolve);
    });
    stream.write({ attach: { session: id, from: 10 } });
    expect(await end).toBeNull();
    expect(frames[0]?.attached).toMatchObject({ from: 10, mode: 'ATTACH_MODE_VIEWER' });
    expect(frames.at(-1)?.process_exited).toMatchObject({ exit_code: 42, reason: 'exited' });
    const bytes = Buffer.concat(frames.flatMap(({ output }) => output?.data ?? []));
    expect(bytes.toString() === text.slice(10)).toBe(true);
    grpc.close();
  });

  it('takes nothing any more, on any transport', async () => {
    const path = `/api/v1/sessions/${id}`;
    for (const [method, at, body] of [
      ['POST', `${path}/input`, { data: 'x' }],
      ['POST', `${path}/resize`, { cols: 80, rows: 24 }],
      ['POST', `${path}/signal`, { signal: 'TERM' }],
      ['DELETE', path, undefined],
    ] as const) {
      const answer = await rest(gateway, alice, method, at, body);
      expect([answer.status, codeOf(answer)]).toEqual([409, 'SESSION_ENDED']);
    }
    const grpc = new GrpcClient(gateway, alice);
    for (const call of [
      // One after the other: a refusal that nobody waits for yet would end the test.
      () => grpc.call('write', { id, data: Buffer.from('x') }),
      () => grpc.call('resize', { id, cols: 80, rows: 24 }),
      () => grpc.call('signal', { id, signal: 'TERM' }),
      () => grpc.call('kill', { id }),
    ]) {
      const error = await refused(call());
      expect([error.code, reasonOf(error)]).toEqual([9, 'SESSION_ENDED']);
    }
    grpc.close();
  });
});

describe('more sessions than somebody may have', () => {
  it('are refused over REST and gRPC alike, until one has ended', async () => {
    const bob = token({ sub: 'bob' });
    const grpc = new GrpcClient(gateway, bob);
    const ids = [
      await startSession(gateway, bob, { command: ['/bin/cat'] }),
      ((await grpc.call('start', { command: ['/bin/cat'] })) as { session: { id: string } }).session.id,
      await startSession(gateway, bob, { command: ['/bin/cat'] }),
    ];
    const full = await rest(gateway, bob, 'POST', '/api/v1/sessions', { command: ['/bin/cat'] });
    expect([full.status, codeOf(full), full.headers.get('retry-after')]).toEqual([429, 'SESSION_LIMIT', '5']);
    const error = await refused(grpc.call('start', { command: ['/bin/cat'] }));
    expect([error.code, reasonOf(error)]).toEqual([8, 'SESSION_LIMIT']);
    expect(error.metadata.get('retry-after')).toEqual(['5']);
    expect((await rest(gateway, bob, 'DELETE', `/api/v1/sessions/${ids[0] ?? ''}`)).status).toBe(200);

    // Many at once take the one place that is free once, whichever way they come.
    const rush = await Promise.all(
      Array.from({ length: 6 }, async (_, index) =>
        index % 2 === 0
          ? (await rest(gateway, bob, 'POST', '/api/v1/sessions', { command: ['/bin/cat'] })).status === 201
          : grpc.call('start', { command: ['/bin/cat'] }).then(
              () => true,
              () => false,
            ),
      ),
    );
    expect(rush.filter(Boolean)).toHaveLength(1);
    const { body } = await rest(gateway, bob, 'GET', '/api/v1/sessions?state=running');
    expect(body['items']).toHaveLength(3);
    grpc.close();
  });

  it('is counted for each of them, and for all of a tenant together', async () => {
    const start = (sub: string): Promise<{ status: number }> =>
      rest(gateway, token({ sub }), 'POST', '/api/v1/sessions', { command: ['/bin/cat'] });
    expect(
      (await rest(gateway, token({ sub: 'bob' }), 'GET', '/api/v1/sessions?state=running')).body['items'],
    ).toHaveLength(3);
    const statuses = [];
    for (const sub of ['carol', 'carol', 'dave', 'dave']) statuses.push((await start(sub)).status);
    expect(statuses).toEqual([201, 201, 201, 429]);
    const elsewhere = token({ sub: 'carol', tenant: 'other' });
    expect((await rest(gateway, elsewhere, 'POST', '/api/v1/sessions', { command: ['/bin/cat'] })).status).toBe(201);
  });
});
