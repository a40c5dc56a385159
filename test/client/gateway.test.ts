import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AttachmentClient, type AttachOptions, type End, systemTiming, type Timing } from '../../src/client/index.js';
import { Page } from '../support/client-page.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';

const sha = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
const LONG_MS = 60_000;
/** Of a test that starts gateways or waits out many cuts, on a machine that has other things to do. */
const LIMIT_MS = 180_000;
/** Comes back almost at once, where a test has it come back many times. */
const hurried: Timing = {
  ...systemTiming,
  random: () => 0,
  after: (ms, call) => systemTiming.after(ms < 5000 ? ms / 50 : ms, call),
};

/** What `seq 1 count` writes to a terminal. */
const numbers = (count: number): string => Array.from({ length: count }, (_, index) => `${index + 1}\r\n`).join('');

/** Types all of it, as fast as it is taken. */
async function typeAll(page: Page, input: Buffer): Promise<void> {
  for (let at = 0; at < input.length;) {
    const part = input.subarray(at, at + 10_000);
    const typed = page.client.type(part);
    if (typed === 'refused') throw new Error('refused');
    if (typed === 'taken') at += part.length;
    else await new Promise<void>((done) => (page.onRoom = done));
  }
}

describe('the client library and a gateway', () => {
  let gateway: TestGateway;
  const alice = token();

  // While nobody is attached a flood goes on: the ring must hold what comes meanwhile.
  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSION_RING_BYTES: String(32 * 1024 * 1024) });
  });
  afterAll(() => gateway.remove());

  const page = (session: string, options: Partial<AttachOptions> = {}): Page =>
    new Page({ url: gateway.url, session, credential: alice, ...options });

  it('with the WebSocket that browsers have, and the credential as its first message, is a terminal', async () => {
    const session = await startSession(gateway, alice, { command: ['/bin/sh'] });
    const terminal = page(session, { from: 0, size: { cols: 97, rows: 33 } });
    await until('attached', () => terminal.attached === 1);
    expect(terminal.mode).toBe('controller');
    terminal.client.type(Buffer.from('stty size; exit 7\n'));
    await terminal.sees('33 97');
    expect(await terminal.ended()).toEqual({ kind: 'exited', exitCode: 7, signal: null, reason: 'exited' });
  });

  it(
    'shows a flood once, byte for byte, however often its connection is cut',
    async () => {
      const script = 'read go; i=0; while [ $i -lt 12 ]; do seq 1 100000; i=$((i+1)); done';
      const session = await startSession(gateway, alice, { command: ['/bin/sh', '-c', `stty -echo; ${script}`] });
      const proxy = await CuttingProxy.open(gateway.httpPort, (connection) =>
        connection < 8 ? 200_000 + 70_001 * connection : Infinity,
      );
      const terminal = page(session, { url: proxy.url, from: 0, timing: hurried });
      terminal.client.type(Buffer.from('go\n'));
      expect(await terminal.ended()).toMatchObject({ kind: 'exited', exitCode: 0 });
      const { bytes } = terminal;
      const shown = bytes.subarray(bytes.indexOf('1\r\n2\r\n'));
      const expected = numbers(100_000).repeat(12);
      expect([shown.length, sha(shown)]).toEqual([expected.length, sha(expected)]);
      expect([proxy.cuts, terminal.snapshots]).toEqual([8, 0]);
      await proxy.close();
    },
    LIMIT_MS,
  );

  it(
    'types once, byte for byte, however often its connection is cut',
    async () => {
      const input = Buffer.from(Array.from({ length: 120_000 }, (_, line) => `line ${String(line)}\n`).join(''));
      const program = `stty raw -echo; echo ready; head -c ${String(input.length)} | sha256sum`;
      const session = await startSession(gateway, alice, { command: ['/bin/sh', '-c', program] });
      const proxy = await CuttingProxy.open(gateway.httpPort, (connection) =>
        connection < 10 ? 30_000 + 20_011 * connection : Infinity,
      );
      const terminal = page(session, { url: proxy.url, from: 0, timing: hurried });
      await terminal.sees('ready');
      await typeAll(terminal, input);
      await terminal.sees(sha(input));
      await terminal.ended();
      expect(proxy.cuts).toBe(10);
      await proxy.close();
    },
    LIMIT_MS,
  );

  it(
    'survives the gateway: killed in mid-flood and started again, nothing is lost or shown twice',
    async () => {
      const script = 'read go; i=0; while [ $i -lt 30 ]; do seq 1 30000; sleep 0.1; i=$((i+1)); done';
      const session = await startSession(gateway, alice, { command: ['/bin/sh', '-c', `stty -echo; ${script}`] });
      const terminal = page(session, { from: 0 });
      terminal.client.type(Buffer.from('go\n'));
      await until('some of it', () => terminal.received > 500_000, LONG_MS);
      await gateway.end('SIGKILL');
      await gateway.launch();
      expect(await terminal.ended()).toMatchObject({ kind: 'exited', exitCode: 0 });
      const { bytes } = terminal;
      const shown = bytes.subarray(bytes.indexOf('1\r\n2\r\n'));
      expect(sha(shown)).toBe(sha(numbers(30_000).repeat(30)));
      expect(terminal.losses).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );

  it(
    'goes away with a gateway that is stopped, and comes back to the next one',
    async () => {
      // Another gateway holds the runner meanwhile.
      const other = await gateway.sibling();
      const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
      const terminal = page(session, { from: 0 });
      await until('attached', () => terminal.attached === 1);
      await gateway.end('SIGTERM');
      terminal.client.type(Buffer.from('typed meanwhile\n'));
      await gateway.launch();
      await terminal.sees('typed meanwhile\r\ntyped meanwhile\r\n');
      expect(terminal.bytes.toString()).toBe('typed meanwhile\r\n'.repeat(2));
      terminal.client.detach();
      await other.end('SIGTERM');
    },
    LIMIT_MS,
  );

  it(
    'makes a program wait that writes more than is rendered, and lets it go on',
    async () => {
      const session = await startSession(gateway, alice, {
        command: ['/bin/sh', '-c', 'stty -echo; read go; seq 1 1000000'],
      });
      const held: (() => void)[] = [];
      let received = 0;
      let hold = true;
      let end: End | null = null;
      const client = new AttachmentClient(
        { url: gateway.url, session, credential: alice, from: 0 },
        {
          onOutput: (bytes, done) => {
            received += bytes.length;
            if (hold) held.push(done);
            else done();
          },
          onSnapshot: () => undefined,
          onEnd: (ended) => (end = ended),
        },
      );
      client.connect();
      client.type(Buffer.from('go\n'));
      let before = -1;
      await until(
        'the program to wait',
        async () => {
          const same = received > 0 && received === before;
          before = received;
          await pause(500);
          return same;
        },
        LONG_MS,
      );
      expect(received).toBeLessThan(3_000_000);
      expect(end).toBeNull();
      hold = false;
      for (const done of held.splice(0)) done();
      await until('the end', () => end !== null, LONG_MS);
      expect(received).toBeGreaterThanOrEqual(numbers(1_000_000).length);
    },
    LIMIT_MS,
  );

  it('two share a session: control goes to who takes it, and back', async () => {
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const first = page(session, { from: 0 });
    await until('attached', () => first.attached === 1);
    const second = page(session, { from: 0 });
    await until('attached too', () => second.attached === 1);
    expect([first.mode, second.mode, second.client.type(Buffer.from('x'))]).toEqual([
      'controller',
      'viewer',
      'refused',
    ]);
    second.client.takeControl();
    expect(second.client.type(Buffer.from('second\n'))).toBe('taken');
    await first.sees('second\r\nsecond\r\n');
    expect([first.mode, first.client.type(Buffer.from('x'))]).toEqual(['viewer', 'refused']);
    first.client.takeControl();
    first.client.type(Buffer.from('first\n'));
    await second.sees('first\r\nfirst\r\n');
    expect(sha(first.bytes)).toBe(sha(second.bytes));
    first.client.kill();
    expect(await second.ended()).toMatchObject({ kind: 'exited', reason: 'killed' });
    expect(await first.ended()).toMatchObject({ kind: 'exited', reason: 'killed' });
  });

  it('a ticket is fetched for each connection, and one more before the connection would end with it', async () => {
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    let tickets = 0;
    const credential = async (): Promise<string> => {
      tickets += 1;
      return String((await rest(gateway, alice, 'POST', '/api/v1/auth/ws-ticket')).body['ticket']);
    };
    const proxy = await CuttingProxy.open(gateway.httpPort, () => Infinity);
    const terminal = page(session, { credential, url: proxy.url, from: 0 });
    await until('attached', () => terminal.attached === 1);
    proxy.cut();
    await until('attached again', () => terminal.attached === 2);
    expect(tickets).toBe(2);
    terminal.client.renew(credential);
    await until('a third', () => tickets === 3);
    terminal.client.type(Buffer.from('still here\n'));
    await terminal.sees('still here\r\nstill here\r\n');
    terminal.client.detach();
    await proxy.close();
  });

  it('a connection is renewed before its token ends, and lives on', async () => {
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    let tokens = 0;
    const credential = (): Promise<string> => {
      tokens += 1;
      const seconds = tokens === 1 ? 22 : 600;
      return Promise.resolve(token({ exp: Math.floor(Date.now() / 1000) + seconds }));
    };
    const terminal = page(session, { credential, from: 0 });
    await until('a second token', () => tokens === 2, LONG_MS);
    terminal.client.type(Buffer.from('on\n'));
    await terminal.sees('on\r\non\r\n');
    expect([terminal.losses, terminal.attached]).toEqual([0, 1]);
    terminal.client.detach();
  });
});
