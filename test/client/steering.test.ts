import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type AttachOptions, MAX_KEPT_BYTES } from '../../src/client/index.js';
import { type Application, attachedTo } from '../support/client-application.js';
import { type ScriptedClient, ScriptedSocketServer } from '../support/scripted-socket.js';
import { until } from '../support/gateway.js';

describe('what is typed with the client library', () => {
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

  it('types once: what was not applied before a cut is sent again, and nothing else', async () => {
    const [application, first] = await attached();
    application.type('abc');
    application.type('def');
    expect(await first.hasTyped(6)).toBe('abcdef');
    first.say({ type: 'input_ack', channel: 0, input_next: 2 });
    first.socket.terminate();
    await until('the loss', () => application.retries.length === 1);
    expect(application.type('ghi')).toBe('taken');
    await application.comesBack(1);
    const second = await server.next();
    second.attach({ input_next: 4 });
    expect(await second.hasTyped(5)).toBe('efghi');
    expect(second.typed[0]?.position).toBe(4);
  });

  it('sends again what the program had no room for, a little later', async () => {
    const [application, connection] = await attached();
    application.type('abcdef');
    await connection.hasTyped(6);
    connection.say({ type: 'error', channel: 0, code: 'INPUT_FULL', message: 'Not reading.', input_next: 3 });
    await until('it waits', () => application.timing.waiting.includes(100));
    application.timing.advance(100);
    expect(await connection.hasTyped(9)).toBe('abcdefdef');
    expect(application.refusals).toEqual([]);
  });

  it('says when it is full, and when there is room again', async () => {
    const [application, connection] = await attached();
    expect(application.client.type(new Uint8Array(MAX_KEPT_BYTES))).toBe('taken');
    expect([application.type('x'), application.rooms]).toEqual(['full', 0]);
    await connection.hasTyped(MAX_KEPT_BYTES);
    expect(connection.typed.every(({ bytes }) => bytes.length <= 65_536)).toBe(true);
    connection.say({ type: 'input_ack', channel: 0, input_next: 1 });
    await until('room', () => application.rooms === 1);
    expect([application.type('x'), application.type('y')]).toEqual(['taken', 'full']);
    expect(() => application.client.type(new Uint8Array(MAX_KEPT_BYTES + 1))).toThrow(RangeError);
  });

  it('types no more when somebody takes over, and after taking control back nothing of before', async () => {
    const [application, connection] = await attached({ size: { cols: 90, rows: 30 } });
    application.type('mine');
    await connection.hasTyped(4);
    connection.say({ type: 'mode_changed', channel: 0, mode: 'viewer', reason: 'taken_over' });
    await until('told', () => application.modes.length === 1);
    expect([application.lost, application.type('late')]).toEqual([[4], 'refused']);
    application.client.takeControl();
    expect(application.type('new')).toBe('taken');
    await connection.hears('take_control');
    expect(connection.typed).toHaveLength(1);
    connection.say({ type: 'mode_changed', channel: 0, mode: 'controller', reason: 'taken' });
    // Only one byte of before was applied: the session has a gap, and says where.
    expect(await connection.hasTyped(7)).toBe('minenew');
    connection.say({ type: 'error', channel: 0, code: 'INPUT_GAP', message: 'Missing.', input_next: 1 });
    await until('it waits', () => application.timing.waiting.includes(100));
    application.timing.advance(100);
    expect(await connection.hasTyped(10)).toBe('minenewnew');
    expect(connection.typed.at(-1)?.position).toBe(1);
    expect(await connection.hears('resize')).toEqual({ type: 'resize', channel: 0, cols: 90, rows: 30 });
    expect(application.modes).toEqual(['viewer taken_over', 'controller taken']);
  });

  it('takes control where it is told to, and when it comes back after having had it', async () => {
    const [application, first] = await attached({ take: true }, { mode: 'viewer' });
    await first.hears('take_control');
    first.say({ type: 'mode_changed', channel: 0, mode: 'controller', reason: 'taken' });
    await until('it has it', () => application.modes.length === 1);
    first.socket.terminate();
    await application.comesBack(1);
    const second = await server.next();
    second.attach({ mode: 'viewer', attachment: 2 });
    second.participants([1, 'alice', 'controller'], [2, 'alice', 'viewer']);
    await second.hears('take_control');
    second.say({ type: 'mode_changed', channel: 0, mode: 'controller', reason: 'taken' });
    second.say({ type: 'mode_changed', channel: 0, mode: 'viewer', reason: 'taken_over' });
    await until('it lost it', () => application.modes.length === 3);
    second.socket.terminate();
    await application.comesBack(2);
    const third = await server.next();
    third.attach({ mode: 'viewer' });
    third.output(0, 'x');
    await application.shows('x');
    expect(third.told.map(({ type }) => type)).not.toContain('take_control');
  });

  const backAsViewer = async (application: Application): Promise<ScriptedClient> => {
    await until('the loss', () => application.retries.length === 1);
    expect(application.type('rm -r x')).toBe('taken');
    await application.comesBack(1);
    const connection = await server.next();
    connection.attach({ mode: 'viewer', attachment: 2 });
    await until('attached again', () => application.attached.length === 2);
    return connection;
  };

  it('that comes back while somebody else is in control types nothing at their prompt, and says so', async () => {
    const [application, first] = await attached();
    first.socket.terminate();
    const second = await backAsViewer(application);
    second.participants([1, 'mallory', 'controller'], [2, 'alice', 'viewer']);
    await until('told', () => application.modes.length === 1);
    expect([application.modes, application.lost, application.type('x')]).toEqual([
      ['viewer taken_over'],
      [7],
      'refused',
    ]);
    second.output(0, 'x');
    await application.shows('x');
    expect([second.typed, second.told.filter(({ type }) => type === 'take_control')]).toEqual([[], []]);
  });

  it.each([
    ['nobody', [[2, 'alice', 'viewer']]],
    [
      'its own user',
      [
        [1, 'alice', 'controller'],
        [2, 'alice', 'viewer'],
      ],
    ],
  ] as [string, [number, string, string][]][])('that comes back and finds %s in control goes on', async (_, list) => {
    const [application, first] = await attached();
    first.socket.terminate();
    const second = await backAsViewer(application);
    expect(second.told.filter(({ type }) => type === 'take_control')).toEqual([]);
    second.participants(...list);
    await second.hears('take_control');
    second.say({ type: 'mode_changed', channel: 0, mode: 'controller', reason: 'taken' });
    expect(await second.hasTyped(7)).toBe('rm -r x');
    expect(application.lost).toEqual([]);
  });

  it('that was told to take control takes it after a cut, too, whoever has it', async () => {
    const [application, first] = await attached({ take: true }, { mode: 'viewer' });
    await first.hears('take_control');
    first.socket.terminate();
    const second = await backAsViewer(application);
    await second.hears('take_control');
  });

  it('that is refused control stays a viewer, and says why', async () => {
    const [application, connection] = await attached({ mode: 'viewer' }, { mode: 'viewer' });
    expect([connection.query['mode'], application.type('x')]).toEqual(['viewer', 'refused']);
    application.client.takeControl();
    const { id } = await connection.hears('take_control');
    application.type('waits');
    connection.say({ type: 'error', id, channel: 0, code: 'PERMISSION_DENIED', message: 'You may only view.' });
    await until('told', () => application.refusals.length === 1);
    expect([application.type('x'), application.lost]).toEqual(['refused', [5]]);
  });

  it('resizes, signals and kills what it is attached to, and never later than it was meant', async () => {
    const [application, connection] = await attached();
    application.client.resize(100, 40);
    expect(await connection.hears('resize')).toMatchObject({ cols: 100, rows: 40 });
    expect([application.client.signal('INT'), application.client.kill()]).toEqual([true, true]);
    expect(await connection.hears('signal')).toMatchObject({ signal: 'INT' });
    await connection.hears('kill');
    connection.socket.terminate();
    await until('the loss', () => application.retries.length === 1);
    expect([application.client.signal('INT'), application.client.kill()]).toEqual([false, false]);
    await application.comesBack(1);
    expect((await server.next()).query).toMatchObject({ cols: '100', rows: '40' });
  });
});
