import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { startSession } from '../support/rest.js';
import { ScriptedSocketServer } from '../support/scripted-socket.js';

const LONG_MS = 60_000;
/** Of a test that starts gateways or waits out many cuts, on a machine that has other things to do. */
const LIMIT_MS = 180_000;
const sha = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
const folder = resolve('docs/examples');

/** One of the example programs, running. */
class Example {
  stdout = Buffer.alloc(0);
  stderr = '';
  status: number | null = null;
  readonly process: ChildProcessWithoutNullStreams;

  constructor(name: string, args: readonly string[], credential: string) {
    this.process = spawn(process.execPath, [resolve(folder, name), ...args], {
      env: { PATH: process.env['PATH'], GATEHOUSE_TOKEN: credential },
    });
    this.process.stdout.on('data', (chunk: Buffer) => (this.stdout = Buffer.concat([this.stdout, chunk])));
    this.process.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.process.stdin.on('error', () => undefined);
    // 'close' comes after the last of its output, 'exit' may come before.
    this.process.on('close', (code) => (this.status = code ?? -1));
  }

  async shows(text: string): Promise<void> {
    await until(
      `${text}; got ${this.stdout.subarray(-200).toString()} ${this.stderr}`,
      () => this.stdout.includes(text),
      LONG_MS,
    );
  }

  /** @returns its exit status */
  async ended(): Promise<number | null> {
    await until(`the end; ${this.stderr}`, () => this.status !== null, LONG_MS);
    return this.status;
  }
}

describe('the example programs', () => {
  let gateway: TestGateway;
  const alice = token();
  const running: Example[] = [];

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSION_RING_BYTES: String(32 * 1024 * 1024) });
  });
  afterEach(() => {
    for (const { process: child, status } of running.splice(0)) if (status === null) child.kill('SIGKILL');
  });
  afterAll(() => gateway.remove());

  const run = (name: string, ...args: string[]): Example => {
    const example = new Example(name, args, alice);
    running.push(example);
    return example;
  };
  const websocket = (url: string): string => url.replace(/^http/, 'ws');
  const shell = (script: string): Promise<string> =>
    startSession(gateway, alice, { command: ['/bin/sh', '-c', script] });

  it.each([
    ['attach.mjs', 30],
    ['resume.mjs', 100],
  ])('%s has at most %i lines, and needs nothing but Node', (name, limit) => {
    const text = readFileSync(resolve(folder, name), 'utf8');
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(limit);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(text).not.toMatch(/\bimport\b|\brequire\b/);
  });

  it('attach.mjs is a terminal', async () => {
    const session = await shell('read name; echo "hello $name, ünïcode"; exit 4');
    const example = run('attach.mjs', gateway.wsUrl, session);
    example.process.stdin.write('stranger\n');
    expect(await example.ended()).toBe(4);
    expect(example.stdout.toString()).toBe('stranger\r\nhello stranger, ünïcode\r\n');
    expect(example.stderr).toBe('');
  });

  it('attach.mjs says why it may not', async () => {
    const session = await startSession(gateway, token({ sub: 'bob' }), { command: ['/bin/cat'] });
    const example = run('attach.mjs', gateway.wsUrl, session);
    expect(await example.ended()).toBe(1);
    expect(example.stderr).toContain('closed: 4004 NOT_FOUND');
  });

  it(
    'resume.mjs loses and doubles no output, though its connection is cut and the gateway killed',
    async () => {
      const script = 'read go; i=0; while [ $i -lt 40 ]; do seq 1 30000; sleep 0.1; i=$((i+1)); done';
      const session = await shell(`stty -echo; ${script}`);
      const proxy = await CuttingProxy.open(gateway.httpPort, (connection) => (connection < 3 ? 700_000 : Infinity));
      const example = run('resume.mjs', websocket(proxy.url), session, '0');
      example.process.stdin.write('go\n');
      await until('three cuts', () => proxy.cuts === 3, LONG_MS);
      await until('more of it', () => example.stdout.length > 2_500_000, LONG_MS);
      await gateway.end('SIGKILL');
      await gateway.launch();
      expect(await example.ended()).toBe(0);
      const shown = example.stdout.subarray(example.stdout.indexOf('1\r\n2\r\n'));
      const one = Array.from({ length: 30_000 }, (_, index) => `${String(index + 1)}\r\n`).join('');
      expect([shown.length, sha(shown)]).toEqual([one.length * 40, sha(one.repeat(40))]);
      await proxy.close();
    },
    LIMIT_MS,
  );

  it(
    'resume.mjs types every byte once, though its connection is cut',
    async () => {
      const input = Array.from({ length: 60_000 }, (_, line) => `line ${String(line)}\n`).join('');
      const session = await shell(`stty raw -echo; echo ready; head -c ${String(input.length)} | sha256sum`);
      const proxy = await CuttingProxy.open(gateway.httpPort, (connection) =>
        connection < 4 ? 60_000 + 50_000 * connection : Infinity,
      );
      const example = run('resume.mjs', websocket(proxy.url), session, '0');
      await example.shows('ready');
      example.process.stdin.write(input);
      await example.shows(sha(input));
      expect(await example.ended()).toBe(0);
      expect(proxy.cuts).toBe(4);
      await proxy.close();
    },
    LIMIT_MS,
  );

  it('both show a snapshot on a terminal that was reset, and go on behind it', async () => {
    const server = await ScriptedSocketServer.start();
    server.protocol = false;
    const json = run('attach.mjs', websocket(server.url), 's');
    const first = await server.next();
    first.attach({ from: 500, snapshot: true });
    first.say({ type: 'snapshot', channel: 0, offset: 500, next: 500, data: 'screen' });
    first.say({ type: 'output', channel: 0, offset: 500, next: 506, data: ', live' });
    await json.shows('\u001bcscreen, live');
    server.protocol = 'gatehouse.v1';
    const binary = run('resume.mjs', websocket(server.url), 's');
    const second = await server.next();
    expect(second.query['from']).toBeUndefined();
    second.attach({ from: 500, snapshot: true });
    second.snapshot(500, ['scr', 'een']);
    second.output(500, ', live');
    await binary.shows('\u001bcscreen, live');
    second.socket.terminate();
    const third = await server.next();
    expect(third.query['from']).toBe('506');
    await server.stop();
  });

  it('resume.mjs takes control back after a cut from its own lost connection, and from nobody else', async () => {
    const server = await ScriptedSocketServer.start();
    const example = run('resume.mjs', websocket(server.url), 's', '0');
    example.process.stdin.write('typed');
    const back = async (controller: string) => {
      const client = await server.next();
      client.say({ type: 'authenticated', user_id: 'alice' });
      client.attach({ mode: 'viewer', attachment: 2 });
      client.participants([1, controller, 'controller'], [2, 'alice', 'viewer']);
      return client;
    };
    const held = await back('bob');
    // Answered in order: when the answer is there, what the participants were reason for is there, too.
    const acknowledged = async (client: typeof held): Promise<void> => {
      client.output(0, 'seen');
      await client.hears('ack');
    };
    await acknowledged(held);
    expect(held.told.map(({ type }) => type)).not.toContain('take_control');
    held.socket.terminate();
    const regained = await back('alice');
    await regained.hears('take_control');
    regained.say({ type: 'mode_changed', channel: 0, mode: 'controller', reason: 'taken' });
    expect(await regained.hasTyped(5)).toBe('typed');
    regained.say({ type: 'mode_changed', channel: 0, mode: 'viewer', reason: 'taken_over' });
    regained.participants([1, 'alice', 'controller'], [2, 'alice', 'viewer']);
    regained.output(4, 'once');
    await regained.hears('ack');
    expect(regained.told.map(({ type }) => type)).not.toContain('take_control');
    await server.stop();
  });
});
