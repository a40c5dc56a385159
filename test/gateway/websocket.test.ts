import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, refused } from '../support/grpc-client.js';
import { rest, startSession } from '../support/rest.js';
import { untilSessionQuiet } from '../support/terminal-settings.js';
import { WsClient } from '../support/ws-client.js';

describe('WebSocket', () => {
  let gateway: TestGateway;
  let id: string;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSIONS_PER_USER: '1000', SESSIONS_PER_TENANT: '1000' });
  });
  afterAll(() => gateway.remove());
  beforeEach(async () => {
    id = await startSession(gateway, alice, { command: ['/bin/cat'] });
  });

  it('a browser, which cannot set headers, authenticates with its first message and may type right after it', async () => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`);
    expect(await ws.next('connection_status')).toMatchObject({ status: 'connected', protocol: 'json' });
    ws.send({ type: 'authenticate', token: alice });
    ws.send({ type: 'input', data: 'early\n' });
    expect(await ws.next('authenticated')).toMatchObject({ user_id: 'alice' });
    expect(await ws.next('attached')).toMatchObject({ session: id, channel: 0, mode: 'controller', from: 0 });
    const shown = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`);
    expect(await ws.next('process_started')).toEqual({
      type: 'process_started',
      channel: 0,
      pid: shown.body['pid'],
    });
    await ws.sees('early\r\nearly\r\n');
    ws.close();
  });

  it('the binary protocol echoes its name and carries offsets', async () => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice, binary: true });
    expect(ws.socket.protocol).toBe('gatehouse.v1');
    const { input_next } = await ws.next('attached');
    expect(input_next).toBe(0);
    ws.type('one\n', 0);
    await ws.sees('one\r\none\r\n');
    const again = await WsClient.open(gateway, `/ws/pty?id=${id}&from=5&mode=viewer`, {
      credential: alice,
      binary: true,
    });
    await again.sees('one\r\n');
    expect([again.firstOffset.get(0), again.bytes().toString()]).toEqual([5, 'one\r\n']);
    ws.close();
    again.close();
  });

  it('a client that cannot be understood is told so, and closed after ten times', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    const bad: (string | Buffer)[] = [
      '',
      'x',
      '[]',
      'null',
      '{}',
      '{"type":5}',
      '{"type":"nothing"}',
      '{"type":"__proto__"}',
      Buffer.from('zz'),
    ];
    for (const message of bad) ws.socket.send(message);
    for (let index = 0; index < bad.length; index += 1)
      expect((await ws.next('error'))['code']).toBe('INVALID_MESSAGE');
    ws.send({ type: 'ping', timestamp: Date.now() });
    await ws.next('pong');
    ws.socket.send('again');
    expect(await ws.closes()).toEqual({ code: 1008, reason: 'INVALID_MESSAGE' });
  });

  it.each(['{"type":"ping","a":[{"__proto__":{}}]}', '{"type":"ping","a":{"constructor":{"prototype":{}}}}'])(
    'a member that would become a prototype is refused wherever it stands: %s',
    async (message) => {
      const ws = await WsClient.open(gateway, '/ws', { credential: alice });
      ws.socket.send(message);
      expect((await ws.next('error'))['message']).toBe('The message has a forbidden member.');
      ws.close();
    },
  );

  it.each([
    ['an unknown member', { type: 'ping', extra: 1 }],
    ['a size out of range', { type: 'resize', cols: 0, rows: 24 }],
    ['a size as text', { type: 'resize', cols: '80', rows: 24 }],
    ['an unknown signal', { type: 'signal', signal: 'STOP' }],
    ['empty input', { type: 'input', data: '' }],
    ['input that is too long', { type: 'input', data: 'x'.repeat(65_537) }],
    ['a negative offset', { type: 'ack', offset: -1 }],
  ])('%s is refused, and the connection lives on', async (_what, message) => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    await ws.next('attached');
    ws.send({ ...message, id: 42 });
    expect(await ws.next('error')).toMatchObject({ id: 42, code: 'INVALID_MESSAGE' });
    ws.send({ type: 'input', data: 'alive\n' });
    await ws.sees('alive\r\nalive\r\n');
    ws.close();
  });

  it.each([
    ['of an unknown type', 3, 16, 'INVALID_MESSAGE'],
    ['without bytes', 2, 0, 'INVALID_MESSAGE'],
    ['with too many bytes', 2, 65_537, 'INVALID_MESSAGE'],
  ])('a binary frame %s is refused', async (_what, type, size, code) => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice, binary: true });
    await ws.next('attached');
    const frame = Buffer.alloc(16 + size, 0x61);
    frame.fill(0, 0, 16);
    frame[0] = type;
    ws.socket.send(frame);
    expect((await ws.next('error'))['code']).toBe(code);
    ws.socket.send(Buffer.alloc(3));
    expect((await ws.next('error'))['code']).toBe('INVALID_MESSAGE');
    ws.close();
  });

  it('messages are handled in order, however slow the first one is', async () => {
    // Without the terminal's echo, which may fall into the middle of what cat writes.
    const quiet = await startSession(gateway, alice, { command: ['/bin/sh', '-c', 'stty -echo; exec cat'] });
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    await untilSessionQuiet(gateway, alice, quiet);
    ws.send({ type: 'attach', session: quiet });
    const lines = Array.from({ length: 200 }, (_, index) => `line ${String(index)}`);
    for (const line of lines) ws.send({ type: 'input', data: `${line}\n` });
    await ws.sees('line 199\r\n');
    expect(ws.bytes().toString()).toBe(lines.map((line) => `${line}\r\n`).join(''));
    ws.close();
  });

  it('several sessions on one socket each have their channel', async () => {
    const other = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const ws = await WsClient.open(gateway, '/ws', { credential: alice, binary: true });
    ws.send({ type: 'attach', session: id, id: 'first' });
    ws.send({ type: 'attach', session: other, id: 'second' });
    const [first, second] = [await ws.next('attached'), await ws.next('attached')];
    expect([first['id'], first['channel'], second['id'], second['channel']]).toEqual(['first', 0, 'second', 1]);
    ws.type('to one\n', 0, 0);
    ws.type('to other\n', 0, 1);
    await ws.sees('to one\r\nto one\r\n', 0);
    await ws.sees('to other\r\nto other\r\n', 1);
    expect(ws.bytes(0).includes('other')).toBe(false);
    ws.send({ type: 'detach', channel: 0 });
    expect(await ws.next('detached')).toMatchObject({ channel: 0, code: null });
    ws.send({ type: 'ping', id: 'after' });
    await ws.next('pong');
    // Its link closes now; nobody is told of the end a second time.
    expect(ws.messages.filter(({ type }) => type === 'detached')).toEqual([]);
    ws.send({ type: 'input', channel: 0, data: 'x' });
    expect((await ws.next('error'))['code']).toBe('NOT_ATTACHED');
    const watching = await WsClient.open(gateway, '/ws', { credential: alice, binary: true });
    for (const session of [id, id]) watching.send({ type: 'attach', session, mode: 'viewer' });
    await watching.next('attached');
    await watching.next('attached');
    watching.type('x', 0, 1);
    expect(await watching.next('error')).toMatchObject({ code: 'NOT_CONTROLLER', channel: 1 });
    watching.close();
    ws.send({ type: 'kill', channel: 1 });
    expect(await ws.next('process_exited')).toMatchObject({ channel: 1, reason: 'killed' });
    expect(ws.closed).toBeNull();
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state']).toBe('running');
    ws.close();
  });

  it('one client types at a time; another may take over, and both are told', async () => {
    const first = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    expect((await first.next('attached'))['mode']).toBe('controller');
    const second = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    expect((await second.next('attached'))['mode']).toBe('viewer');
    second.send({ type: 'input', data: 'x' });
    expect((await second.next('error'))['code']).toBe('NOT_CONTROLLER');
    second.send({ type: 'take_control' });
    second.send({ type: 'input', data: 'taken\n' });
    await second.sees('taken\r\ntaken\r\n');
    expect((await second.next('mode_changed'))['mode']).toBe('controller');
    expect((await first.next('mode_changed'))['mode']).toBe('viewer');
    first.send({ type: 'input', data: 'x' });
    expect((await first.next('error'))['code']).toBe('NOT_CONTROLLER');
    second.send({ type: 'command', data: 'mine\n' });
    await first.sees('mine\r\nmine\r\n');
    first.close();
    second.close();
  });

  it('input refused because the program does not read hinders no later input', async () => {
    const go = join(gateway.dataDir, 'read-now');
    const deaf = await startSession(gateway, alice, {
      command: ['/bin/sh', '-c', `stty raw -echo; printf ready:; until [ -e ${go} ]; do sleep 0.05; done; exec cat`],
    });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${deaf}`, { credential: alice });
    await ws.sees('ready:');
    const paste = 'x'.repeat(60_000);
    for (let index = 0; index < 40; index += 1) ws.send({ type: 'input', data: paste });
    expect((await ws.next('error'))['code']).toBe('INPUT_FULL');
    writeFileSync(go, '');
    await ws.sees('x'.repeat(2_000_000), 0, 60_000);
    ws.send({ type: 'input', data: 'heard' });
    await ws.sees('heard');
    ws.close();
  }, 120_000);

  it('a new size, however it was asked for, is what everybody is told', async () => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}&cols=101&rows=31`, { credential: alice });
    await ws.next('attached');
    const size = async (): Promise<unknown[]> => {
      const { body } = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`);
      return [body['cols'], body['rows']];
    };
    await until('the size at attach', async () => String(await size()) === '101,31');
    ws.send({ type: 'resize', cols: 99, rows: 29 });
    await until('the new size', async () => String(await size()) === '99,29');
    ws.close();
  });

  it('a renewed credential that may not see the session ends the view', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    ws.send({ type: 'attach', session: id });
    await ws.next('attached');
    ws.send({ type: 'authenticate', token: token({ roles: [] }) });
    expect(await ws.next('detached')).toMatchObject({ channel: 0, code: 'PERMISSION_DENIED' });
    ws.send({ type: 'ping' });
    await ws.next('pong');
    const one = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    await one.next('attached');
    one.send({ type: 'authenticate', token: token({ roles: [] }) });
    expect((await one.closes()).code).toBe(4003);
    ws.close();
  });

  it('a gRPC client that has nothing to type still sees the output and the end', async () => {
    const brief = await startSession(gateway, alice, { command: ['/bin/sh', '-c', 'sleep 1; echo done'] });
    const stream = new GrpcClient(gateway, alice).attach();
    let output = '';
    let exit: unknown = null;
    stream.on('data', (frame: { output?: { data: Buffer }; process_exited?: { exit_code: number } }) => {
      output += frame.output?.data.toString() ?? '';
      exit = frame.process_exited?.exit_code ?? exit;
    });
    stream.write({ attach: { session: brief } });
    stream.end();
    expect(await endOf(stream)).toBeNull();
    expect([output, exit]).toEqual(['done\r\n', 0]);
  });

  it('a client that comes back and resends loses and doubles no keystroke', async () => {
    const path = `/ws/pty?id=${id}&writer_id=me&mode=controller`;
    const before = await WsClient.open(gateway, path, { credential: alice, binary: true });
    await before.next('attached');
    before.type('abc', 0);
    await before.sees('abc');
    before.close();
    await until(
      'the controller is gone',
      async () => (await gateway.audit({ action: 'pty.detach', resource: `session:${id}` })).length > 0,
    );
    const after = await WsClient.open(gateway, path, { credential: alice, binary: true });
    expect((await after.next('attached'))['input_next']).toBe(3);
    after.type('abcdef\n', 0);
    await after.sees('abcdef\r\nabcdef\r\n');
    after.type('gap\n', 100);
    expect(await after.next('error')).toMatchObject({ code: 'INPUT_GAP', input_next: 7 });
    expect(await after.next('input_ack')).toMatchObject({ channel: 0, input_next: 7 });
    after.close();
  });

  it.each([
    ['an unknown path', '/ws/other', 404],
    ['the API', '/api/v1/sessions', 404],
  ])('an upgrade on %s is answered, not dropped', async (_what, path, status) => {
    const error = (await refused(WsClient.open(gateway, path, { credential: alice }))) as unknown as {
      status: number;
      headers: Record<string, string>;
    };
    expect(error.status).toBe(status);
    expect(error.headers['x-request-id']).toBeDefined();
  });

  it.each([
    ['no session', '/ws/pty'],
    ['a number that is none', '/ws/pty?id=ID&from=1e3'],
    ['an unknown parameter', '/ws/pty?id=ID&shell=1'],
  ])('an address with %s is refused', async (_what, path) => {
    const ws = await WsClient.open(gateway, path.replace('ID', id), { credential: alice });
    expect((await ws.closes()).code).toBe(1008);
  });

  it('an offset that was never written is refused', async () => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}&from=999999`, { credential: alice });
    expect(await ws.closes()).toEqual({ code: 1008, reason: 'OFFSET_OUT_OF_RANGE' });
  });

  it('a message over 1 MiB closes the connection', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    ws.socket.send(Buffer.alloc(1024 * 1024 + 1));
    expect((await ws.closes()).code).toBe(1009);
  });
});
