import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AttachError, type AttachOptions } from '../../src/client/index.js';
import { Application, attachedTo } from '../support/client-application.js';
import { type ScriptedClient, ScriptedSocketServer } from '../support/scripted-socket.js';
import { until } from '../support/gateway.js';

describe('an attachment of the client library', () => {
  let server: ScriptedSocketServer;
  const applications: Application[] = [];

  beforeEach(async () => {
    server = await ScriptedSocketServer.start();
  });
  afterEach(async () => {
    for (const { client } of applications.splice(0)) client.detach();
    await server.stop();
  });

  const attached = async (
    options: Partial<AttachOptions> = {},
    fields: Record<string, unknown> = {},
  ): Promise<[Application, ScriptedClient]> => {
    const [application, connection] = await attachedTo(server, options, fields);
    applications.push(application);
    return [application, connection];
  };
  const open = (options: Partial<AttachOptions> = {}): Application => {
    const application = new Application(server, options);
    applications.push(application);
    return application;
  };

  it('shows a snapshot whole, on a terminal that was reset to its size, then what follows', async () => {
    const [application, connection] = await attached({}, { from: 1000, snapshot: true, cols: 132, rows: 43 });
    connection.snapshot(1000, ['a scr', 'een', '']);
    connection.output(1000, ', live');
    await application.shows('a screen, live');
    expect(application.resets).toEqual(['1000:132x43']);
    expect(await connection.hears('ack')).toEqual({ type: 'ack', channel: 0, offset: 1000 });
  });

  it('comes back for the next byte, and for a new snapshot when that is gone', async () => {
    const [application, first] = await attached({}, { from: 10, snapshot: true });
    first.snapshot(10, ['screen ']);
    first.output(10, 'abc');
    await application.shows('screen abc');
    first.socket.terminate();
    await application.comesBack(1);
    const second = await server.next();
    expect(second.query).toMatchObject({ from: '13', epoch: 'e', writer_id: first.query['writer_id'] });
    second.attach({ from: 13 });
    second.output(11, 'bcdef');
    await application.shows('screen abcdef');
    expect(application.attached.map(({ again }) => again)).toEqual([false, true]);
    second.socket.terminate();
    await application.comesBack(2);
    const third = await server.next();
    expect(third.query['from']).toBe('16');
    third.attach({ from: 900, snapshot: true });
    third.snapshot(900, ['another ', 'scr'], { whole: false });
    third.socket.terminate();
    await application.comesBack(3);
    const fourth = await server.next();
    expect(fourth.query['from']).toBe('16');
    fourth.attach({ from: 950, snapshot: true });
    fourth.snapshot(950, ['new screen']);
    await application.shows('new screen');
    expect(application.resets).toEqual(['10:80x24', '950:80x24']);
  });

  it('authenticates with its first message, with a credential that is fresh for each connection', async () => {
    let asked = 0;
    const credential = (): Promise<string> => Promise.resolve(`ticket-${String((asked += 1))}`);
    const [application, first] = await attached({ credential });
    expect([first.authorization, first.query['token']]).toEqual([undefined, undefined]);
    expect(await first.hears('authenticate')).toEqual({ type: 'authenticate', token: 'ticket-1' });
    first.say({ type: 'authenticated', expires_at: new Date(application.timing.date() + 600_000).toISOString() });
    await until('a renewal is due', () => application.timing.waiting.includes(540_000));
    application.timing.advance(4000);
    first.say({ type: 'pong' });
    first.socket.terminate();
    await application.comesBack(1);
    expect(await (await server.next()).hears('authenticate')).toEqual({ type: 'authenticate', token: 'ticket-2' });
  });

  it('renews the credential of an open connection in time, and when it is told to', async () => {
    let asked = 0;
    const credential = (): Promise<string> => Promise.resolve(`token-${String((asked += 1))}`);
    const [application, connection] = await attached({ credential });
    await connection.hears('authenticate');
    connection.say({ type: 'authenticated', expires_at: new Date(application.timing.date() + 24_000).toISOString() });
    await until('a renewal is due', () => application.timing.waiting.includes(12_000));
    application.timing.advance(12_000);
    expect(await connection.hears('authenticate')).toEqual({ type: 'authenticate', token: 'token-2' });
    application.client.renew('by-hand');
    expect(await connection.hears('authenticate')).toEqual({ type: 'authenticate', token: 'by-hand' });
  });

  it('gets a fresh credential when the one before expired, and gives up when that is refused too', async () => {
    const [application, connection] = await attached({ credential: () => Promise.resolve('t') });
    connection.socket.close(4001, 'SESSION_EXPIRED');
    await application.comesBack(1);
    (await server.next()).socket.close(4001, 'JWT_EXPIRED');
    expect(await application.failed()).toMatchObject({ reason: 'refused', code: 'JWT_EXPIRED', closeCode: 4001 });
  });

  it('tries again when no credential could be had, and ends when it is told that there is none', async () => {
    const answers: (string | Error)[] = ['first', new Error('the network is away'), 'third'];
    const credential = (): Promise<string> => {
      const answer = answers.shift();
      return typeof answer === 'string' ? Promise.resolve(answer) : Promise.reject(answer ?? new Error('none'));
    };
    const [application, first] = await attached({ credential });
    await first.hears('authenticate');
    first.socket.terminate();
    await application.comesBack(1);
    await application.comesBack(2);
    const third = await server.next();
    expect(await third.hears('authenticate')).toMatchObject({ token: 'third' });
    const refused = open({ credential: () => Promise.reject(new AttachError('refused', 'log in again')) });
    expect(await refused.failed()).toMatchObject({ reason: 'refused', message: 'log in again' });
  });

  it('tries again when what gets the credential never answers', async () => {
    let asked = 0;
    const credential = (): Promise<string> => {
      asked += 1;
      return asked === 2 ? new Promise(() => undefined) : Promise.resolve(`ticket-${String(asked)}`);
    };
    const [application, first] = await attached({ credential });
    first.socket.terminate();
    await application.comesBack(1);
    await until('it asks', () => asked === 2);
    application.timing.advance(30_000);
    await application.comesBack(2);
    expect(await (await server.next()).hears('authenticate')).toMatchObject({ token: 'ticket-3' });
  });

  it('leaves no timer behind when it is left while it waits for a credential', async () => {
    const application = open({ credential: () => new Promise(() => undefined) });
    await until('it waits', () => application.timing.waiting.length === 1);
    application.client.detach();
    expect(application.timing.waiting).toEqual([]);
  });

  it('goes away when it is told to, and comes back when it was told', async () => {
    const [application, first] = await attached();
    first.say({ type: 'goaway', reason: 'shutdown', resume_after_ms: 1234 });
    first.output(0, 'last words');
    first.socket.close(1001, 'GOING_AWAY');
    await until('the loss', () => application.retries.length === 1);
    application.timing.advance(1233);
    expect(server.clients).toHaveLength(1);
    application.timing.advance(1);
    expect((await server.next()).query['from']).toBe('10');
  });

  it('leaves by itself a server that said goodbye and did not close', async () => {
    const [application, first] = await attached();
    first.say({ type: 'goaway', reason: 'drain', resume_after_ms: 50 });
    await until('the time to come back is set', () => application.timing.waiting.includes(50));
    application.timing.advance(50);
    await server.next();
    await until('the first is closed', () => first.closed !== null);
    expect(application.retries).toHaveLength(1);
  });

  it.each([
    [4000, 'JWT_INVALID'],
    [4001, 'TOKEN_REVOKED'],
    [4003, 'PERMISSION_DENIED'],
    [4004, 'NOT_FOUND'],
    [1008, 'INVALID_MESSAGE'],
    [1009, ''],
  ])('closed with %i %s it ends, and does not try again', async (closeCode, code) => {
    const application = open({ credential: () => Promise.resolve('t') });
    const connection = await server.next();
    connection.say({ type: 'error', code, message: 'The reason in words.' });
    connection.socket.close(closeCode, code);
    const error = await application.failed();
    expect(error).toMatchObject({ reason: 'refused', closeCode, code: code === '' ? undefined : code });
    expect(error.message).toContain(code === '' ? '1009' : 'The reason in words.');
    application.timing.advance(3_600_000);
    expect([server.clients.length, application.refusals, application.timing.waiting]).toEqual([1, [], []]);
  });

  it.each([1001, 1006, 1011, 1012, 1013, 4002, 4005])('closed with %i it comes back', async (code) => {
    const [application, connection] = await attached();
    if (code === 1006) connection.socket.terminate();
    else connection.socket.close(code, '');
    await application.comesBack(1);
    (await server.next()).attach();
    await until('attached again', () => application.attached.at(-1)?.again === true);
  });

  it('stays away as long as a limit asks for', async () => {
    const [application, connection] = await attached();
    const details = { retry_after: 7 };
    connection.say({ type: 'error', code: 'RATE_LIMIT_EXCEEDED', message: 'Too many.', details });
    connection.socket.close(4002, 'RATE_LIMIT_EXCEEDED');
    await until('the loss', () => application.retries.length === 1);
    expect(application.retries).toEqual([7000]);
  });

  it('that never got a connection says so at once, unless it is to wait for the server', async () => {
    const { url } = server;
    await server.stop();
    const application = open({ url });
    expect(await application.failed()).toMatchObject({ reason: 'unreachable' });
    const patient = open({ url, retryFirst: true });
    await until('the loss', () => patient.retries.length === 1);
    server = await ScriptedSocketServer.start();
  });

  it('gives up in the end, and says that the session may still run', async () => {
    const [application, connection] = await attached({ giveUpAfterMs: 3000 });
    await server.stop();
    await until('it is closed', () => connection.closed !== null);
    for (let times = 1; application.end === null && times < 20; times += 1) {
      await until('a loss or the end', () => application.retries.length >= times || application.end !== null);
      application.timing.advance(application.retries[times - 1] ?? 0);
    }
    expect(await application.failed()).toMatchObject({ reason: 'gave_up' });
    expect(application.retries).toEqual([250, 500, 1000, 2000]);
    server = await ScriptedSocketServer.start();
  });

  it('takes a server that has fallen silent for lost', async () => {
    const [application, connection] = await attached();
    application.timing.advance(10_000);
    await connection.hears('ping');
    application.timing.advance(15_000);
    expect(application.retries).toHaveLength(1);
    application.timing.advance(application.retries[0] ?? 0);
    await server.next();
  });

  it.each<[string, (connection: ScriptedClient) => void]>([
    [
      'no JSON',
      (connection) => {
        connection.socket.send('hello');
      },
    ],
    [
      'a message of the wrong shape',
      (connection) => {
        connection.attach({ from: 'x' });
      },
    ],
    [
      'a frame without a header',
      (connection) => {
        connection.socket.send(Buffer.alloc(3));
      },
    ],
    [
      'output with a gap',
      (connection) => {
        connection.output(99, 'x');
      },
    ],
  ])('ends at %s, with a reason', async (_what, send) => {
    const [application, connection] = await attached();
    send(connection);
    expect((await application.failed()).message).toMatch(/^the server does not speak the protocol: ./);
    await until('it closed', () => connection.closed !== null);
    expect(application.timing.waiting.length).toBeLessThanOrEqual(1);
  });

  it('ends when the server speaks something else', async () => {
    server.protocol = false;
    const error = await open().failed();
    expect(error.reason).toBe(error.message.includes('gatehouse.v1') ? 'malformed' : 'unreachable');
  });

  it('is told who else is there, when the program waits, and how it ended', async () => {
    const [application, connection] = await attached({}, { attachment: 7 });
    const alice = { attachment: 7, user_id: 'alice', mode: 'controller', cols: 80, rows: 24 };
    const bob = { attachment: 9, user_id: 'bob', mode: 'viewer', cols: null, rows: null };
    connection.say({ type: 'participants', channel: 0, participants: [alice, bob], total: 2 });
    for (const action of ['pause', 'resume'])
      connection.say({ type: 'flow_control', channel: 0, action, reason: 'controller_lagging' });
    connection.say({ type: 'something_new', channel: 0 });
    connection.output(0, 'bye');
    connection.say({ type: 'process_exited', channel: 0, exit_code: null, signal: 'SIGTERM', reason: 'killed' });
    await until('the end', () => application.end !== null);
    expect(application.attached[0]?.attachment).toBe(7);
    expect(application.participants.map(({ userId, cols }) => [userId, cols])).toEqual([
      ['alice', 80],
      ['bob', null],
    ]);
    expect(application.flow).toEqual(['pause controller_lagging', 'resume controller_lagging']);
    expect(application.screen).toBe('bye');
    expect(application.end).toEqual({ kind: 'exited', exitCode: null, signal: 'SIGTERM', reason: 'killed' });
  });

  it('leaves at once, and leaves nothing behind', async () => {
    const [application, connection] = await attached();
    application.client.detach();
    expect(application.end).toEqual({ kind: 'detached' });
    await until('it closed', () => connection.closed === 1000);
    expect([application.timing.waiting, application.type('x')]).toEqual([[], 'refused']);
  });
});
