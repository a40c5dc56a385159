import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { type Answer, codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const SESSIONS = '/api/v1/sessions';
const LATE = 60_000;

describe('how long a session may go on', () => {
  let gateway: TestGateway;
  const alice = token();
  const show = async (id: string): Promise<Record<string, unknown>> =>
    (await rest(gateway, alice, 'GET', `${SESSIONS}/${id}`)).body;
  const ended = (id: string): Promise<void> =>
    until('the end', async () => (await show(id))['ended_at'] !== null, LATE);

  beforeAll(async () => {
    gateway = await TestGateway.start({
      ...{ SESSION_IDLE_TIMEOUT_SECONDS: '900', SESSION_MAX_DURATION_SECONDS: '3600', RUNNER_PERSIST: 'true' },
      SESSIONS_PER_USER: '50',
    });
  });
  afterAll(() => gateway.remove());

  it('is what the server is configured with, or what was asked for, and is shown', async () => {
    const plain = await startSession(gateway, alice, { command: ['/bin/cat'] });
    expect(await show(plain)).toMatchObject({ idle_timeout_seconds: 900, max_duration_seconds: 3600 });
    const grpc = new GrpcClient(gateway, alice);
    const times = { idle_timeout_seconds: 3600, max_duration_seconds: 60 };
    const { session } = (await grpc.call('start', { command: ['/bin/cat'], ...times })) as { session: { id: string } };
    expect(session).toMatchObject(times);
    expect(await show(session.id)).toMatchObject(times);
    grpc.close();
    await Promise.all([plain, session.id].map((id) => rest(gateway, alice, 'DELETE', `${SESSIONS}/${id}`)));
  });

  it.each([
    ['idle_timeout_seconds', 0],
    ['idle_timeout_seconds', 3601],
    ['idle_timeout_seconds', 1.5],
    ['idle_timeout_seconds', '60'],
    ['max_duration_seconds', 0],
    ['max_duration_seconds', 3601],
    ['max_duration_seconds', -1],
    ['request_id', ''],
    ['request_id', 'a b'],
    ['request_id', 'x'.repeat(129)],
  ])('refuses %s %j on REST and gRPC, naming it, and starts nothing', async (field, value) => {
    const dave = token({ sub: 'dave' });
    const answer = await rest(gateway, dave, 'POST', SESSIONS, { command: ['/bin/cat'], [field]: value });
    const { details } = answer.body['error'] as { details: { fields: { field: string }[] } };
    expect([answer.status, codeOf(answer), details.fields[0]?.field]).toEqual([422, 'INVALID_ARGUMENT', field]);
    // What the wire itself cannot carry is not asked of it.
    if (typeof value === 'string' ? field === 'request_id' : Number.isInteger(value) && value >= 0) {
      const grpc = new GrpcClient(gateway, dave);
      const error = await refused(grpc.call('start', { command: ['/bin/cat'], [field]: value }));
      expect([error.code, reasonOf(error)]).toEqual([3, 'INVALID_ARGUMENT']);
      expect(error.details).toContain(field);
      grpc.close();
    }
    expect((await rest(gateway, dave, 'GET', SESSIONS)).body['items']).toEqual([]);
  });

  it('ends an idle one, and says why on every transport and in the trail', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'], idle_timeout_seconds: 1 });
    await ended(id);
    expect(await show(id)).toMatchObject({ state: 'killed', reason: 'idle_timeout' });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    expect(await ws.next('process_exited')).toMatchObject({ reason: 'idle_timeout' });
    const grpc = new GrpcClient(gateway, alice);
    expect(await grpc.call('get', { id })).toMatchObject({
      session: { state: 'SESSION_STATE_KILLED', reason: 'idle_timeout' },
    });
    const stream = grpc.attach();
    const reasons: unknown[] = [];
    stream.on('data', (frame: { process_exited?: { reason: string } }) => {
      if (frame.process_exited) reasons.push(frame.process_exited.reason);
    });
    stream.write({ attach: { session: id } });
    expect(await endOf(stream)).toBeNull();
    expect(reasons).toEqual(['idle_timeout']);
    grpc.close();
    expect(await gateway.audit({ action: 'pty.exit', resource: `session:${id}` })).toMatchObject([
      { reason: 'idle_timeout', user_id: 'system', success: true },
    ]);
  });

  it('ends none that somebody is attached to, and an overlong one all the same', async () => {
    const id = await startSession(gateway, alice, {
      ...{ command: ['/bin/cat'], idle_timeout_seconds: 5, max_duration_seconds: 12 },
    });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    await ws.next('attached');
    expect(await ws.next('process_exited', LATE)).toMatchObject({ reason: 'max_duration' });
    await ended(id);
    const { state, reason, created_at, ended_at } = await show(id);
    expect([state, reason]).toEqual(['killed', 'max_duration']);
    expect(Date.parse(String(ended_at)) - Date.parse(String(created_at))).toBeGreaterThanOrEqual(11_900);
    expect(await gateway.audit({ action: 'pty.exit', resource: `session:${id}` })).toMatchObject([
      { reason: 'max_duration' },
    ]);
  });

  it('is over in time while no gateway runs, and the next one records it', async () => {
    const [idle, busy] = [
      await startSession(gateway, alice, { command: ['/bin/cat'], idle_timeout_seconds: 2 }),
      await startSession(gateway, alice, { command: ['/bin/cat'] }),
    ];
    const { pid } = await show(idle);
    await gateway.end('SIGKILL');
    await until('the end of its process', () => !exists(Number(pid)), LATE);
    await gateway.launch();
    await ended(idle);
    expect(await show(idle)).toMatchObject({ state: 'killed', reason: 'idle_timeout' });
    expect(await show(busy)).toMatchObject({ state: 'running' });
    expect(await gateway.audit({ action: 'pty.exit', resource: `session:${idle}` })).toHaveLength(1);
  });
});

describe('a start that is asked for again', () => {
  let gateway: TestGateway;
  let other: TestGateway;
  const alice = token();
  const command = { command: ['/bin/cat'], env: { PIN: '1234', COLOUR: 'red' } };
  const start = (credential: string, body: object, on = gateway): Promise<Answer> =>
    rest(on, credential, 'POST', SESSIONS, body);
  const kill = (id: unknown) => rest(gateway, alice, 'DELETE', `${SESSIONS}/${String(id)}`);

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSIONS_PER_USER: '5' });
    other = await gateway.sibling();
  });
  afterAll(async () => {
    await other.end();
    await gateway.remove();
  });

  it('gives the same session, on any gateway and transport, even once it has ended', async () => {
    const body = { ...command, request_id: 'deploy-42' };
    const first = await start(alice, body);
    expect([first.status, first.body['idempotent_replay']]).toEqual([201, undefined]);
    const { id } = first.body;
    const again = await start(alice, { ...body, env: { COLOUR: 'red', PIN: '1234' } }, other);
    expect([again.status, again.body]).toEqual([200, { ...first.body, idempotent_replay: true }]);
    const grpc = new GrpcClient(other, alice);
    expect(await grpc.call('start', body)).toMatchObject({ session: { id }, idempotent_replay: true });
    grpc.close();
    await kill(id);
    expect((await start(alice, body)).body).toMatchObject({ id, state: 'killed', idempotent_replay: true });
    const rows = await gateway.audit({ action: 'pty.start', resource: `session:${String(id)}` }, 4);
    expect(rows.map(({ metadata }) => metadata)).toEqual([{}, ...Array<object>(3).fill({ idempotent_replay: true })]);
  });

  it('gives one session to all that race, on two gateways', async () => {
    const body = { ...command, request_id: randomUUID() };
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => start(alice, body, n % 2 ? other : gateway)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(11).fill(200), 201]);
    const ids = new Set(answers.map((answer) => answer.body['id']));
    expect(ids.size).toBe(1);
    expect(new Set(answers.map((answer) => answer.body['state']))).toEqual(new Set(['running']));
    const live = (await rest(gateway, alice, 'GET', `${SESSIONS}?state=running`)).body['items'];
    expect((live as { id: string }[]).map(({ id }) => id)).toEqual([...ids]);
    await kill([...ids][0]);
  });

  it.each([
    ['another program', { command: ['/bin/sh'] }],
    ['another value in its environment', { env: { PIN: '1235', COLOUR: 'red' } }],
    ['a variable fewer', { env: { COLOUR: 'red' } }],
    ['another size', { cols: 81 }],
    ['another name', { name: 'x' }],
    ['another time', { max_duration_seconds: 60 }],
  ])('with %s is refused, on every transport', async (_what, change) => {
    const body = { ...command, request_id: 'fixed' };
    const { id } = (await start(alice, body)).body;
    const changed = { ...body, ...change };
    const answer = await start(alice, changed, other);
    expect([answer.status, codeOf(answer)]).toEqual([409, 'IDEMPOTENCY_CONFLICT']);
    const grpc = new GrpcClient(gateway, alice);
    const error = await refused(grpc.call('start', changed));
    expect([error.code, reasonOf(error)]).toEqual([9, 'IDEMPOTENCY_CONFLICT']);
    grpc.close();
    expect((await start(alice, body)).body['id']).toBe(id);
  });

  it('by somebody else is a start of their own', async () => {
    const body = { command: ['/bin/true'], request_id: 'shared-name' };
    const answers = [
      await start(alice, body),
      await start(token({ sub: 'bob' }), body),
      await start(token({ tenant: 'other' }), body),
    ];
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(answers.map((answer) => answer.body['id'])).size).toBe(3);
  });

  it('after it failed is tried anew, and no limit stands in the way of one that was made', async () => {
    const carol = token({ sub: 'carol' });
    const request_id = 'retry';
    const failed = await start(carol, { command: ['/no/such/program'], request_id });
    expect([failed.status, codeOf(failed)]).toEqual([422, 'START_FAILED']);
    const body = { command: ['/bin/cat'], request_id };
    const made = await start(carol, body);
    expect(made.status).toBe(201);
    for (let more = 1; more < 5; more += 1) await startSession(gateway, carol, { command: ['/bin/cat'] });
    expect(codeOf(await start(carol, { command: ['/bin/cat'] }))).toBe('SESSION_LIMIT');
    expect((await start(carol, body)).body['id']).toBe(made.body['id']);
  });

  it('that was lost before it ran is tried anew', async () => {
    const body = { command: ['/bin/true'], request_id: 'cut-off' };
    const { id } = (await start(alice, body)).body;
    // What a gateway that was killed in the middle of a start leaves.
    await gateway.query(
      `UPDATE sessions SET state = 'lost', pid = NULL, ended_at = now(), reason = 'runner_lost' WHERE id = $1`,
      [id],
    );
    const again = await start(alice, body);
    expect([again.status, again.body['id'] === id]).toEqual([201, false]);
  });

  it('leaves nothing in its row by which its environment could be guessed', async () => {
    const { id } = (await start(alice, { ...command, command: ['/bin/true'], request_id: 'secret' })).body;
    const [row] = await gateway.query('SELECT * FROM sessions WHERE id = $1', [id]);
    expect(row?.['request_hash']).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    expect(JSON.stringify(row)).not.toContain('1234');
    // Another owner's hash of the same request is another one: it does not even tell that two are the same.
    const theirs = (await start(token({ sub: 'eve' }), { ...command, command: ['/bin/true'], request_id: 'secret' }))
      .body;
    const [other] = await gateway.query('SELECT * FROM sessions WHERE id = $1', [theirs['id']]);
    expect(other?.['request_hash']).not.toBe(row?.['request_hash']);
  });
});

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
