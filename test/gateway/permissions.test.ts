import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ServiceError } from '@grpc/grpc-js';
import { TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const NO_ONE = '01a1fc84-6cb5-7e33-bf1e-bc189c38028f';

describe('what a caller may do', () => {
  let gateway: TestGateway;
  let alices: string;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start();
    alices = await startSession(gateway, alice, { command: ['/bin/cat'] });
  });
  afterAll(() => gateway.remove());

  it('somebody else’s session looks like one that does not exist, on every transport', async () => {
    const bob = token({ sub: 'bob' });
    for (const id of [alices, NO_ONE]) {
      for (const [method, path, body] of [
        ['GET', '', undefined],
        ['DELETE', '', undefined],
        ['GET', '/output', undefined],
        ['GET', '/wait', undefined],
        ['POST', '/input', { data: 'x' }],
        ['POST', '/signal', { signal: 'KILL' }],
        ['POST', '/resize', { cols: 80, rows: 24 }],
      ] as const) {
        const answer = await rest(gateway, bob, method, `/api/v1/sessions/${id}${path}`, body);
        expect([answer.status, (answer.body['error'] as { message: string }).message]).toEqual([
          404,
          'There is no such resource.',
        ]);
      }
      const grpc = new GrpcClient(gateway, bob);
      expect((await refused(grpc.call('kill', { id }))).code).toBe(5);
      expect((await refused(grpc.call('waitExit', { id }))).code).toBe(5);
      expect(((await endOf(grpc.streamOutput({ id }))) as ServiceError).code).toBe(5);
      const stream = grpc.attach();
      stream.write({ attach: { session: id } });
      expect(((await endOf(stream)) as ServiceError).code).toBe(5);
      grpc.close();
      const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: bob });
      expect(await ws.closes()).toEqual({ code: 4004, reason: 'NOT_FOUND' });
      const many = await WsClient.open(gateway, '/ws', { credential: bob });
      many.send({ type: 'attach', session: id });
      expect((await many.next('error'))['code']).toBe('NOT_FOUND');
      many.close();
    }
    expect((await rest(gateway, bob, 'GET', '/api/v1/sessions')).body['items']).toEqual([]);
    const denied = await gateway.audit({ action: 'authz.denied', user_id: 'bob', reason: 'NOT_FOUND' }, 10);
    const told = denied.map(({ resource, metadata }) => [(metadata as { permission: string }).permission, resource]);
    // Each once, however often and on however many transports it was tried.
    expect(told.map((each) => each.join(' ')).sort()).toEqual(
      ['pty:input', 'pty:kill', 'pty:resize', 'pty:signal', 'pty:view']
        .flatMap((permission) => [NO_ONE, alices].map((id) => `${permission} session:${id}`))
        .sort(),
    );
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${alices}`)).body['state']).toBe('running');
  });

  it('a user of the same name in another tenant, or with no role, gets nowhere', async () => {
    const foreign = token({ tenant: 'other', roles: ['admin'] });
    expect((await rest(gateway, foreign, 'GET', `/api/v1/sessions/${alices}`)).status).toBe(404);
    expect((await rest(gateway, foreign, 'GET', '/api/v1/sessions')).body['items']).toEqual([]);
    const nobody = token({ roles: [] });
    const answer = await rest(gateway, nobody, 'POST', '/api/v1/sessions', {});
    expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
    const grpc = new GrpcClient(gateway, nobody);
    expect((await refused(grpc.call('start', {}))).code).toBe(7);
    const stream = grpc.attach();
    stream.write({ attach: { session: alices } });
    for (const refusedStream of [stream, grpc.streamOutput({ id: alices })]) {
      const end = (await endOf(refusedStream)) as ServiceError;
      expect([end.code, reasonOf(end)]).toEqual([7, 'PERMISSION_DENIED']);
    }
    expect(reasonOf(await refused(grpc.call('waitExit', { id: alices })))).toBe('PERMISSION_DENIED');
    expect(codeOf(await rest(gateway, nobody, 'GET', `/api/v1/sessions/${alices}/wait`))).toBe('PERMISSION_DENIED');
    grpc.close();
    // The refused stream took nothing down: a guard's refusal once ended the process.
    expect((await rest(gateway, alice, 'GET', '/api/v1/sessions')).status).toBe(200);
  });

  it('a viewer sees their session but types, sizes, signals and kills nothing', async () => {
    const viewer = token({ roles: ['viewer'] });
    // The program itself says what size it sees.
    const id = await startSession(gateway, alice, {
      command: ['/bin/sh', '-c', 'while read line; do stty size; done'],
    });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}&mode=controller&cols=20&rows=10`, {
      credential: viewer,
      binary: true,
    });
    expect((await ws.next('attached'))['mode']).toBe('viewer');
    ws.type('rm -rf\n', 0);
    expect((await ws.next('error'))['code']).toBe('PERMISSION_DENIED');
    for (const message of [
      { type: 'input', data: 'x' },
      { type: 'resize', cols: 10, rows: 10 },
      { type: 'signal', signal: 'KILL' },
      { type: 'kill' },
      { type: 'take_control' },
    ]) {
      ws.send({ ...message, id: message.type });
      expect(await ws.next('error')).toMatchObject({ id: message.type, code: 'PERMISSION_DENIED' });
    }
    ws.close();
    const stream = new GrpcClient(gateway, viewer).attach();
    const errors: string[] = [];
    stream.on('data', (frame: { error?: { code: string } }) => {
      if (frame.error) errors.push(frame.error.code);
    });
    stream.write({ attach: { session: id, mode: 'ATTACH_MODE_CONTROLLER', cols: 20, rows: 10 } });
    for (const frame of [
      { input: { data: Buffer.from('x') } },
      { resize: { cols: 9, rows: 9 } },
      { signal: { signal: 'KILL' } },
      { kill: {} },
      { take_control: {} },
    ])
      stream.write(frame);
    await until('every frame is refused', () => errors.length === 5);
    stream.cancel();
    await endOf(stream);
    expect(errors).toEqual(Array(5).fill('PERMISSION_DENIED'));
    const owner = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    expect((await owner.next('attached'))['mode']).toBe('controller');
    owner.send({ type: 'input', data: '\n' });
    await owner.sees('\r\n24 80\r\n');
    expect(owner.bytes().toString()).not.toContain('rm');
    owner.close();
  });

  it('an operator sees and ends everybody’s sessions of the tenant', async () => {
    const operator = token({ sub: 'olga', roles: ['operator'] });
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    expect(
      ((await rest(gateway, operator, 'GET', '/api/v1/sessions')).body['items'] as { id: string }[]).map(
        (each) => each.id,
      ),
    ).toContain(id);
    expect((await rest(gateway, operator, 'DELETE', `/api/v1/sessions/${id}`)).status).toBe(200);
  });

  it('a token for one session may attach to that one, and to no other, over WebSocket and gRPC', async () => {
    const other = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const narrow = token({ scope: `pty:view@${alices}` });
    const overWs = await WsClient.open(gateway, `/ws/pty?id=${alices}`, { credential: narrow });
    expect(await overWs.next('attached')).toMatchObject({ mode: 'viewer' });
    overWs.close();
    const refusedWs = await WsClient.open(gateway, `/ws/pty?id=${other}`, { credential: narrow });
    const grpc = new GrpcClient(gateway, narrow);
    const [stream, refusedStream] = [grpc.attach(), grpc.attach()];
    stream.write({ attach: { session: alices } });
    const [first] = (await once(stream, 'data')) as [{ attached?: { mode: string } }];
    expect(first.attached).toMatchObject({ mode: 'ATTACH_MODE_VIEWER' });
    stream.on('error', () => undefined).cancel();
    refusedStream.write({ attach: { session: other } });
    const end = (await endOf(refusedStream)) as ServiceError;
    expect([(await refusedWs.closes()).reason, reasonOf(end)]).toEqual([reasonOf(end), reasonOf(end)]);
    expect(['PERMISSION_DENIED', 'NOT_FOUND']).toContain(reasonOf(end));
    grpc.close();
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${other}`);
  });

  it('a stream that attaches to nothing is ended', async () => {
    const grpc = new GrpcClient(gateway, token({ roles: [] }));
    const end = (await endOf(grpc.attach())) as ServiceError;
    expect([end.code, reasonOf(end)]).toEqual([9, 'NOT_ATTACHED']);
    grpc.close();
  });
});
