import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { gatehouse, gatehouseInTerminal } from '../support/command-line.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';
import { refusal, ScriptedServer } from '../support/scripted-server.js';
import { ScriptedSocketServer } from '../support/scripted-socket.js';

const SESSION = {
  ...{ id: '01890a5d-ac96-774b-bcce-b302099a8057', name: 'mine', owner: 'alice', state: 'running', command: ['sh'] },
  ...{ cols: 80, rows: 24, created_at: '2026-01-01T00:00:00Z' },
};
/** What empties a screen of 24 rows: it moves up into the scrollback. */
const EMPTIED = `\u001b[!p\u001b>\u001b[?7h\u001b[0m\u001b[24;1H${'\n'.repeat(24)}\u001b[H\u001b[J`;

describe('gatehouse attach, as the server tells it', () => {
  let server: ScriptedServer;
  let sockets: ScriptedSocketServer;
  const environment = (): Record<string, string> => ({ GATEHOUSE_URL: server.url, GATEHOUSE_TOKEN: 'a-token' });

  beforeEach(async () => {
    server = await ScriptedServer.start();
    sockets = await ScriptedSocketServer.start(server.server);
    server.script = ({ method }) =>
      method === 'POST' ? [201, SESSION] : [200, { items: [SESSION], next_cursor: null }];
  });
  afterEach(() => sockets.stop());

  it('shows the screen as it is on an empty one, and leaves the terminal as it was', async () => {
    const terminal = gatehouseInTerminal(['attach', 'mine'], environment());
    const connection = await sockets.next();
    expect(connection.authorization).toBe('Bearer a-token');
    expect(connection.query).toMatchObject({ id: SESSION.id, cols: '80', rows: '24' });
    expect(connection.query['from']).toBeUndefined();
    connection.attach({ from: 5000, snapshot: true });
    connection.snapshot(5000, ['\u001b[?1049h', 'the screen']);
    connection.output(5000, ', and more');
    await until('it is shown', () => terminal.shown().includes(`${EMPTIED}\u001b[?1049hthe screen, and more`));
    terminal.type('\u001d');
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown()).toContain('\u001b[?1049l');
  });

  it('replaces the screen when what came meanwhile is gone', async () => {
    const terminal = gatehouseInTerminal(['attach', 'mine'], environment());
    const first = await sockets.next();
    first.attach({ from: 10, snapshot: true });
    first.snapshot(10, ['\u001b[?25l\u001b[?2004hbefore']);
    await until('it is shown', () => terminal.shown().includes('before'));
    first.socket.terminate();
    const second = await sockets.next();
    expect(second.query['from']).toBe('10');
    second.attach({ from: 90_000, snapshot: true });
    second.snapshot(90_000, ['after']);
    await until('it is shown', () => terminal.shown().includes(`\u001b[?2004l\u001b[?25h\u001b[0m${EMPTIED}after`));
    expect(terminal.shown()).toContain('connection lost; coming back');
    second.say({ type: 'process_exited', channel: 0, exit_code: 3, signal: null, reason: 'exited' });
    expect(await terminal.ended).toBe(3);
  });

  it('run asks for all that the program has written', async () => {
    const terminal = gatehouseInTerminal(['run', 'sh'], environment());
    const connection = await sockets.next();
    expect(connection.query['from']).toBe('0');
    connection.attach();
    connection.output(0, 'from the start');
    await until('it is shown', () => terminal.shown().includes('from the start'));
    expect(terminal.shown()).not.toContain('\u001b[J');
    connection.say({ type: 'process_exited', channel: 0, exit_code: 0, signal: null, reason: 'exited' });
    expect(await terminal.ended).toBe(0);
  });

  it.each([
    [403, 'PERMISSION_DENIED', /^gatehouse: Not for you\. \(PERMISSION_DENIED, request [0-9a-f-]{36}\)\n$/],
    [401, 'TOKEN_REVOKED', /^gatehouse: Not for you\. \(TOKEN_REVOKED, request [0-9a-f-]{36}\)\n$/],
  ])('refused with %i it ends with a sentence', async (status, code, sentence) => {
    sockets.refusal = [status, JSON.stringify(refusal(code, 'Not for you.'))];
    const { status: ended, stderr } = await gatehouse(['run', 'sh'], { env: environment() });
    expect([ended, stderr]).toEqual([1, expect.stringMatching(sentence)]);
  });

  it.each([
    [4003, 'PERMISSION_DENIED', 'gatehouse: the server closed the connection: Not any more. (PERMISSION_DENIED)\n'],
    [4004, 'NOT_FOUND', 'gatehouse: the server closed the connection: Not any more. (NOT_FOUND)\n'],
  ])('closed with %i it ends with a sentence', async (closeCode, code, sentence) => {
    const ran = gatehouse(['run', 'sh'], { env: environment() });
    const connection = await sockets.next();
    connection.say({ type: 'error', code, message: 'Not any more.' });
    connection.socket.close(closeCode, code);
    const { status, stderr } = await ran;
    expect([status, stderr]).toEqual([1, sentence]);
  });
});

describe('gatehouse attach in a pipe', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSION_RING_BYTES: '65536' });
  });
  afterAll(() => gateway.remove());

  it('gives all output that is retained, and the exit status', async () => {
    const session = await startSession(gateway, alice, { command: ['/bin/sh', '-c', 'seq 1 50000; exit 3'] });
    await until('its end', async () => {
      const { body } = await rest(gateway, alice, 'GET', `/api/v1/sessions/${session}`);
      return body['state'] === 'exited';
    });
    const env = { GATEHOUSE_URL: gateway.url, GATEHOUSE_TOKEN: alice };
    const { status, stdout, stderr } = await gatehouse(['attach', session], { env });
    const whole = Array.from({ length: 50_000 }, (_, index) => `${String(index + 1)}\r\n`).join('');
    expect([status, stdout.length, stderr]).toEqual([3, 65_536, '']);
    expect(whole.endsWith(stdout)).toBe(true);
  });
});
