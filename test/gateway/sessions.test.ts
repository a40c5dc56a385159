import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

describe('sessions, on all three transports', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('a session started over REST is a live shell over WebSocket and gRPC at once', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'], name: 'shared' });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    await ws.next('attached');
    const grpc = new GrpcClient(gateway, alice);
    const stream = grpc.attach();
    let heard = '';
    stream.on('data', (frame: { output?: { data?: Buffer } }) => {
      heard += frame.output?.data?.toString() ?? '';
    });
    stream.on('error', () => undefined);
    stream.write({ attach: { session: id } });
    ws.send({ type: 'input', data: 'hello\n' });
    await ws.sees('hello\r\nhello\r\n');
    await until('gRPC sees it too', () => heard.includes('hello\r\nhello\r\n'));
    stream.cancel();
    grpc.close();
    ws.close();
  });

  it('a session started over gRPC is listed over REST and killed on request', async () => {
    const grpc = new GrpcClient(gateway, alice);
    const { session } = (await grpc.call('start', { command: ['/bin/sleep', '600'], cols: 100, rows: 30 })) as {
      session: { id: string; state: string; pid: number; created_at: { seconds: number } };
    };
    expect(session.state).toBe('SESSION_STATE_RUNNING');
    expect(Math.abs(session.created_at.seconds - Date.now() / 1000)).toBeLessThan(60);
    const listed = await rest(gateway, alice, 'GET', '/api/v1/sessions?state=running');
    expect((listed.body['items'] as { id: string }[]).map(({ id }) => id)).toContain(session.id);
    const killed = await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${session.id}`);
    expect(killed).toMatchObject({ status: 200, body: { state: 'killed', reason: 'killed' } });
    expect(() => process.kill(session.pid, 0)).toThrow();
    const again = await refused(grpc.call('kill', { id: session.id }));
    expect([again.code, reasonOf(again)]).toEqual([9, 'SESSION_ENDED']);
    grpc.close();
  });

  it('the last output and the exit code of a short program are there after it ended', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', 'printf last; exit 7'] });
    await until(
      'ended',
      async () => (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state'] === 'exited',
    );
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body).toMatchObject({
      exit_code: 7,
      reason: 'exited',
    });
    const output = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output`);
    expect([output.text, output.headers.get('x-output-next'), output.headers.get('content-type')]).toEqual([
      'last',
      '4',
      'application/octet-stream',
    ]);
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice, binary: true });
    expect(await ws.next('process_exited')).toMatchObject({ exit_code: 7, signal: null, reason: 'exited' });
    expect(ws.bytes().toString()).toBe('last');
    expect((await ws.closes()).code).toBe(1000);
  });

  it('input, size and signals reach the program over REST', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/sh'] });
    const output = async (): Promise<string> =>
      (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output`)).text;
    expect((await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/resize`, { cols: 123, rows: 45 })).status).toBe(
      204,
    );
    expect(
      (await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/input`, { data: 'stty size; sleep 100\n' })).status,
    ).toBe(204);
    await until('the size', async () => (await output()).includes('45 123'));
    await until('sleep runs in the foreground', async () => {
      await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/signal`, { signal: 'INT' });
      await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/input`, { data: 'echo a""wake\n' });
      return (await output()).includes('awake');
    });
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`);
  });

  it('bytes pass unchanged: split characters, NUL and invalid sequences', async () => {
    const script = 'printf "\\303"; sleep 0.2; printf "\\251\\000\\377\\376end"';
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', script] });
    const expected = Buffer.from([0xc3, 0xa9, 0x00, 0xff, 0xfe, ...Buffer.from('end')]);
    const [binary, text] = [
      await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice, binary: true }),
      await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice }),
    ];
    await binary.closes();
    await text.closes();
    expect(binary.bytes().equals(expected)).toBe(true);
    expect(text.bytes().toString()).toBe('é\0��end');
    const stream = new GrpcClient(gateway, alice).attach();
    const parts: Buffer[] = [];
    stream.on('data', (frame: { output?: { data: Buffer } }) => {
      if (frame.output) parts.push(frame.output.data);
    });
    stream.write({ attach: { session: id } });
    expect(await endOf(stream)).toBeNull();
    expect(Buffer.concat(parts).equals(expected)).toBe(true);
  });

  it('a page of sessions leads to the next one, without repeats', async () => {
    const bob = token({ sub: 'bob' });
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1)
      ids.unshift(await startSession(gateway, bob, { command: ['/bin/true'] }));
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await rest(
        gateway,
        bob,
        'GET',
        `/api/v1/sessions?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`,
      );
      seen.push(...(page.body['items'] as { id: string }[]).map(({ id }) => id));
      cursor = page.body['next_cursor'] as string | null;
    } while (cursor !== null);
    expect(seen).toEqual(ids);
  });

  it('a user may have ten live sessions and is told so at the eleventh', async () => {
    const carol = token({ sub: 'carol' });
    const ids: string[] = [];
    for (let index = 0; index < 10; index += 1) ids.push(await startSession(gateway, carol, { command: ['/bin/cat'] }));
    const more = await Promise.all(
      [1, 2, 3].map(() => rest(gateway, carol, 'POST', '/api/v1/sessions', { command: ['/bin/cat'] })),
    );
    expect(more.map((answer) => [answer.status, codeOf(answer)])).toEqual(Array(3).fill([429, 'SESSION_LIMIT']));
    await Promise.all(ids.map((id) => rest(gateway, carol, 'DELETE', `/api/v1/sessions/${id}`)));
    await startSession(gateway, carol, { command: ['/bin/true'] });
  });

  it.each([
    ['no such program', { command: ['/no/such/program'] }, 422, 'START_FAILED'],
    ['no such folder', { cwd: '/no/such/folder' }, 422, 'START_FAILED'],
    ['a relative folder', { cwd: 'tmp' }, 422, 'INVALID_ARGUMENT'],
    ['too wide', { cols: 1001 }, 422, 'INVALID_ARGUMENT'],
    ['no rows', { rows: 0 }, 422, 'INVALID_ARGUMENT'],
    ['a size as text', { cols: '80' }, 422, 'INVALID_ARGUMENT'],
    ['an unknown member', { shell: '/bin/sh' }, 422, 'INVALID_ARGUMENT'],
    ['a program named nothing', { command: [''] }, 422, 'INVALID_ARGUMENT'],
    ['NUL in an argument', { command: ['/bin/echo', 'a\0b'] }, 422, 'INVALID_ARGUMENT'],
    ['a control character in the name', { name: 'a\u001b[31m' }, 422, 'INVALID_ARGUMENT'],
    ['a preloaded library', { env: { LD_PRELOAD: '/tmp/x.so' } }, 422, 'INVALID_ARGUMENT'],
    ['a list for a body', [], 422, 'INVALID_ARGUMENT'],
    ['no JSON', '{"command":', 400, 'MALFORMED_REQUEST'],
  ])('a start with %s is refused and leaves no session', async (_what, body, status, code) => {
    const dave = token({ sub: 'dave' });
    const answer = await rest(gateway, dave, 'POST', '/api/v1/sessions', body);
    expect([answer.status, codeOf(answer)]).toEqual([status, code]);
    expect((await rest(gateway, dave, 'GET', '/api/v1/sessions')).body['items']).toEqual([]);
  });

  it('the environment of a session has nothing of the server in it', async () => {
    const id = await startSession(gateway, alice, { command: ['/usr/bin/env'], env: { MINE: 'yes' } });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    await ws.closes();
    const names = ws
      .bytes()
      .toString()
      .split('\r\n')
      .map((line) => line.split('=')[0])
      .filter((name) => name !== '');
    const allowed =
      /^(PATH|HOME|SHELL|TERM|LANG|LC_\w+|TZ|USER|LOGNAME|COLORTERM|PWD|GATEHOUSE_SESSION_ID|GATEHOUSE_RUNNER|MINE)$/;
    expect(names.filter((name) => !allowed.test(name ?? ''))).toEqual([]);
    expect(names).toContain('MINE');
  });

  it('gRPC refuses what REST refuses, with the same code', async () => {
    const grpc = new GrpcClient(gateway, alice);
    for (const [request, code, reason] of [
      [{ cols: 5000 }, 3, 'INVALID_ARGUMENT'],
      [{ command: ['/no/such/program'] }, 9, 'START_FAILED'],
    ] as const) {
      const error = await refused(grpc.call('start', request));
      expect([error.code, reasonOf(error)]).toEqual([code, reason]);
    }
    const unknown = await refused(grpc.call('get', { id: '01a1fc84-6cb5-7e33-bf1e-bc189c38028f' }));
    expect([unknown.code, reasonOf(unknown)]).toEqual([5, 'NOT_FOUND']);
    const nonsense = await refused(grpc.call('get', { id: '../x' }));
    expect(nonsense.code).toBe(5);
    grpc.close();
  });
});
