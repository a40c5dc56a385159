import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, refused } from '../support/grpc-client.js';
import { rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

describe('the audit trail', () => {
  let gateway: TestGateway;
  const alice = token({ jti: 'token-of-alice' });

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('has every fact of a session’s life in PostgreSQL and in the log, with the same fields', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const headers = { 'x-request-id': 'my-request-1', traceparent, 'user-agent': 'curl/8' };
    const started = await rest(gateway, alice, 'POST', '/api/v1/sessions', { command: ['/bin/cat'] }, headers);
    expect(started.headers.get('x-request-id')).toBe('my-request-1');
    const resource = `session:${String(started.body['id'])}`;
    // The row is there before the answer is: no waiting here.
    expect(await gateway.query('SELECT * FROM audit_trail WHERE resource = $1', [resource])).toMatchObject([
      {
        action: 'pty.start',
        tenant: 'default',
        user_id: 'alice',
        principal_kind: 'user',
        auth_method: 'jwt',
        credential_id: 'token-of-alice',
        success: true,
        level: 'info',
        transport: 'rest',
        remote_addr: '127.0.0.1',
        user_agent: 'curl/8',
        request_id: 'my-request-1',
        trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
      },
    ]);
    const ws = await WsClient.open(gateway, `/ws/pty?id=${String(started.body['id'])}`, { credential: alice });
    await ws.next('attached');
    ws.send({ type: 'input', data: 'hello\n' });
    await ws.sees('hello\r\nhello\r\n');
    ws.send({ type: 'signal', signal: 'WINCH', id: 1 });
    ws.send({ type: 'signal', signal: 'WINCH', id: 2 });
    await until('signals', async () => (await gateway.audit({ action: 'pty.signal', resource })).length === 2);
    ws.send({ type: 'kill' });
    await ws.closes();
    const rows = await gateway.audit({ resource }, 7);
    expect(rows.map(({ action }) => action).sort()).toEqual([
      'pty.attach',
      'pty.detach',
      'pty.exit',
      'pty.kill',
      'pty.signal',
      'pty.signal',
      'pty.start',
    ]);
    expect(rows.find(({ action }) => action === 'pty.detach')?.['metadata']).toMatchObject({
      mode: 'controller',
      bytes_in: 6,
    });
    expect(rows.every(({ success }) => success)).toBe(true);
    const lineOf = (row: Record<string, unknown>) => gateway.log.find(({ id }) => id === row['id']);
    await until('the lines of the log', () => rows.every((row) => lineOf(row) !== undefined));
    for (const row of rows) {
      const line = lineOf(row);
      expect(line).toMatchObject({
        audit: true,
        action: row['action'],
        user_id: row['user_id'],
        request_id: row['request_id'],
        metadata: row['metadata'],
      });
      expect(new Date(String(line?.['timestamp'])).getTime()).toBe((row['timestamp'] as Date).getTime());
    }
  });

  it('has the signal and the kill of a gRPC stream, and their failures', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const stream = new GrpcClient(gateway, alice).attach();
    stream.write({ attach: { session: id } });
    stream.write({ signal: { signal: 'WINCH' } });
    stream.write({ kill: {} });
    await endOf(stream);
    expect((await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`)).status).toBe(409);
    const rows = await gateway.audit({ resource: `session:${id}` }, 8);
    const told = rows
      .map(({ action, transport, success, reason }) => [action, transport, success, reason].join(' '))
      .sort();
    expect(told).toEqual([
      'authz.granted rest true ',
      'pty.attach grpc true ',
      'pty.detach grpc true ',
      'pty.exit system true killed',
      'pty.kill grpc true ',
      'pty.kill rest false SESSION_ENDED',
      'pty.signal grpc true ',
      'pty.start rest true ',
    ]);
  });

  it('names what a gRPC call made, and what could not be made by no name', async () => {
    const grpc = new GrpcClient(gateway, token({ sub: 'maker' }));
    const { session } = (await grpc.call('start', { command: ['/bin/true'] })) as { session: { id: string } };
    await refused(grpc.call('start', { command: ['/no/such/program'] }));
    grpc.close();
    const rows = await gateway.audit({ action: 'pty.start', user_id: 'maker' }, 2);
    expect(rows.map(({ resource, success, reason }) => [resource, success, reason])).toEqual([
      [`session:${session.id}`, true, null],
      [null, false, 'START_FAILED'],
    ]);
  });

  /** Rows are written in order and this one is waited for, so every row of before is there when it is. */
  const marker = (): Promise<string> => startSession(gateway, alice, { command: ['/bin/true'] });

  it('counts a flood of failures instead of writing each', async () => {
    await Promise.all(Array.from({ length: 50 }, () => rest(gateway, 'nonsense', 'GET', '/api/v1/sessions')));
    await marker();
    expect(await gateway.audit({ action: 'auth.failed' })).toHaveLength(1);
  });

  it('records an accepted credential once, not per call', async () => {
    const zoe = token({ sub: 'zoe' });
    for (let index = 0; index < 10; index += 1) await rest(gateway, zoe, 'GET', '/api/v1/sessions');
    await marker();
    expect(await gateway.audit({ action: 'auth.success', user_id: 'zoe' })).toHaveLength(1);
  });

  it('counts the keystrokes of a viewer who holds a key down instead of writing each', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const viewer = token({ roles: ['viewer'] });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: viewer, binary: true });
    await ws.next('attached');
    for (let key = 0; key < 500; key += 1) ws.type('x', key);
    for (let key = 0; key < 500; key += 1) expect((await ws.next('error'))['code']).toBe('PERMISSION_DENIED');
    ws.close();
    await marker();
    expect(await gateway.audit({ action: 'authz.denied', resource: `session:${id}` })).toMatchObject([
      { user_id: 'alice', reason: 'PERMISSION_DENIED', metadata: { permission: 'pty:input' } },
    ]);
  });

  it('says what was asked for when there is no such thing, and counts a search', async () => {
    const searcher = token({ sub: 'searcher' });
    const asked = `no such\u001b[2J ${'x'.repeat(500)}`;
    const grpc = new GrpcClient(gateway, searcher);
    await refused(grpc.call('get', { id: asked }));
    grpc.close();
    for (let tries = 0; tries < 20; tries += 1)
      await rest(gateway, searcher, 'GET', `/api/v1/sessions/${randomUUID()}`);
    await marker();
    const rows = await gateway.audit({ action: 'authz.denied', user_id: 'searcher' });
    expect(rows).toMatchObject([{ reason: 'NOT_FOUND', resource: `session:no such[2J ${'x'.repeat(116)}` }]);
  });

  it('cannot be changed, not even by the database’s superuser without taking the guard away', async () => {
    for (const sql of ['UPDATE audit_events SET user_id = NULL', 'DELETE FROM audit_events', 'TRUNCATE audit_events']) {
      await expect(gateway.query(sql)).rejects.toThrow('audit events are never changed');
    }
  });

  it('holds no secret, and neither does the log', async () => {
    const secret = 'hunter2-in-the-environment';
    const id = await startSession(gateway, alice, { command: ['/bin/cat'], env: { MY_TOKEN: secret } });
    await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/input`, { data: 'my-typed-password\n' });
    await rest(gateway, alice, 'GET', `/api/v1/sessions?token=${alice}`);
    const everything = JSON.stringify(await gateway.query('SELECT * FROM audit_trail'));
    const log = gateway.log.map((line) => JSON.stringify(line)).join('\n');
    for (const text of [everything, log]) {
      for (const needle of [secret, 'my-typed-password', alice, alice.split('.')[2] ?? '?', gateway.adminKey])
        expect(text).not.toContain(needle);
    }
  });

  it('a change is not confirmed when its row cannot be written', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    await gateway.query('ALTER TABLE audit_events RENAME TO audit_events_away');
    try {
      const answer = await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/signal`, { signal: 'WINCH' });
      expect([answer.status, (answer.body['error'] as { code: string }).code]).toEqual([503, 'AUDIT_UNAVAILABLE']);
      // Known to fail now: nothing more is begun.
      const count = async (): Promise<number> => (await gateway.query('SELECT 1 FROM sessions')).length;
      const before = await count();
      expect((await rest(gateway, alice, 'POST', '/api/v1/sessions', {})).status).toBe(503);
      expect(await count()).toBe(before);
      expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).status).toBe(200);
      expect(await rest(gateway, null, 'GET', '/health/ready')).toMatchObject({
        status: 503,
        body: { checks: { audit: 'unavailable' } },
      });
    } finally {
      await gateway.query('ALTER TABLE audit_events_away RENAME TO audit_events');
    }
    await until('health', async () => (await rest(gateway, null, 'GET', '/health')).status === 200);
    expect((await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/signal`, { signal: 'WINCH' })).status).toBe(204);
    const [refused] = await gateway.audit({ action: 'pty.start', reason: 'AUDIT_UNAVAILABLE' });
    expect(refused).toMatchObject({ success: false, user_id: 'alice' });
  });

  it('a change is not even begun while the table takes no row, whatever the reason', async () => {
    await gateway.query(`CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$`);
    await gateway.query(
      'CREATE TRIGGER full_disk BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION full_disk()',
    );
    const count = async (): Promise<number> => (await gateway.query('SELECT 1 FROM sessions')).length;
    const start = async (): Promise<number> => (await rest(gateway, alice, 'POST', '/api/v1/sessions', {})).status;
    expect(await start()).toBe(503);
    const before = await count();
    for (let tries = 0; tries < 4; tries += 1) {
      await pause(400); // longer than it takes to try again
      expect([await start(), await count()]).toEqual([503, before]);
    }
    await gateway.query('DROP TRIGGER full_disk ON audit_events');
    await until('health', async () => (await rest(gateway, null, 'GET', '/health')).status === 200);
    expect(await start()).toBe(201);
    const taken = await gateway.audit({ action: 'pty.start', reason: 'AUDIT_UNAVAILABLE' });
    expect(taken.some(({ metadata }) => (metadata as { corrects?: string }).corrects !== undefined)).toBe(true);
  });

  it.each(['error', 'fatal'])('is in the log at LOG_LEVEL=%s too', async (level) => {
    const quiet = await TestGateway.start({ LOG_LEVEL: level });
    await rest(quiet, 'nonsense', 'GET', '/api/v1/sessions');
    await until('both lines', () => quiet.log.some(({ action }) => action === 'auth.failed'));
    const actions = quiet.log.map(({ audit, action }) => [audit, action]);
    await quiet.remove();
    expect(actions).toEqual(
      expect.arrayContaining([
        [true, 'server.started'],
        [true, 'auth.failed'],
      ]),
    );
  });
});
