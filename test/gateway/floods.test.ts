import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Flood, textFrame, upgrade } from '../support/flood.js';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient } from '../support/grpc-client.js';
import { rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

/** Resident memory, MiB. */
const memoryOf = (gateway: TestGateway): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(gateway.pid)}/status`, 'utf8'))?.[1]) / 1024;

/** How much a flood is answered while one call of somebody else waits for its answer: the median of so many, bytes. */
async function heardBeside(gateway: TestGateway, flood: Flood, calls: number): Promise<number> {
  const heard: number[] = [];
  for (let call = 0; call < calls; call += 1) {
    await pause(20);
    const before = flood.heard;
    expect((await rest(gateway, null, 'GET', '/health/live')).status).toBe(200);
    heard.push(flood.heard - before);
  }
  heard.sort((a, b) => a - b);
  return heard[Math.floor(calls / 2)] ?? 0;
}

describe('one client that sends as fast as it can', () => {
  let gateway: TestGateway;
  const alice = token();
  const repeated = (text: string): Buffer => Buffer.concat(Array<Buffer>(2000).fill(textFrame(text)));

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('of requests that its runner does not take, is not read from', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}&mode=controller`, { credential: alice });
    await ws.next('attached');
    const [runner = 0] = gateway.runnerPids();
    process.kill(runner, 'SIGSTOP');
    try {
      const requests = [
        '{"type":"ack","offset":0}',
        '{"type":"resize","cols":90,"rows":30}',
        '{"type":"take_control"}',
      ];
      // Long on the way to the gateway and short on the way to the runner: its socket is full before ours is.
      const messages = requests.map((text) => text.padEnd(8192));
      for (let round = 0; round < 3000; round += 1) for (const message of messages) ws.socket.send(message);
      let last = -1;
      await until(
        'the gateway to stop reading',
        async () => {
          const stopped = ws.socket.bufferedAmount === last;
          last = ws.socket.bufferedAmount;
          await pause(1500);
          return stopped;
        },
        60_000,
      );
      expect(last).toBeGreaterThan(16 * 1024 * 1024);
    } finally {
      process.kill(runner, 'SIGCONT');
    }
    await until('all of it to be read', () => ws.socket.bufferedAmount === 0, 60_000);
    ws.send({ type: 'ping', timestamp: Date.now() });
    await ws.next('pong', 60_000);
    ws.close();
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`);
  }, 180_000);

  it('by messages on one WebSocket, keeps nobody else waiting', async () => {
    const flood = Flood.start(gateway, upgrade(alice), repeated('{"type":"ping"}'), { reading: true });
    await until('the flood to flow', () => flood.rounds > 5);
    const heard = await heardBeside(gateway, flood, 9);
    expect(flood.closed).toBe(false);
    flood.stop();
    // A few dozen answers; before there were turns it was thousands.
    expect(heard).toBeLessThan(8000);
  });

  it('and never reads the answers, is not read from either, and costs little memory', async () => {
    const before = memoryOf(gateway);
    const messages = repeated(JSON.stringify({ type: 'ping', id: 'x'.repeat(100) }));
    const floods = Array.from({ length: 4 }, () => Flood.start(gateway, upgrade(alice), messages, { reading: false }));
    const rounds = (): number => floods.reduce((sum, flood) => sum + flood.rounds, 0);
    let last = -1;
    await until(
      'the gateway to stop reading them',
      async () => {
        const stopped = rounds() > 0 && rounds() === last;
        last = rounds();
        await pause(1000);
        return stopped;
      },
      60_000,
    );
    expect(memoryOf(gateway) - before).toBeLessThan(150);
    await until('them to be closed', () => floods.every((flood) => flood.closed), 60_000);
    for (const flood of floods) flood.stop();
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    ws.send({ type: 'ping', timestamp: 1 });
    await ws.next('pong');
    ws.close();
  }, 150_000);

  it('over gRPC and never reads what its frames are answered, is not read from either', async () => {
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const grpc = new GrpcClient(gateway, alice);
    const stream = grpc.attach();
    stream.on('error', () => undefined);
    stream.write({ attach: { session, mode: 'ATTACH_MODE_VIEWER' } });
    // Refused: an attached stream is not attached again.
    const frame = { attach: { session } };
    let taken = 0;
    let on = true;
    const write = (): void => {
      if (!on) return;
      for (let more = 1; more < 50; more += 1) stream.write(frame, () => (taken += 1));
      stream.write(frame, () => ((taken += 1), setImmediate(write)));
    };
    write();
    let last = -1;
    const stopped = async (): Promise<boolean> => {
      const same = taken > 0 && taken === last;
      last = taken;
      await pause(1500);
      return same;
    };
    await until('the gateway to stop reading', stopped, 40_000);
    stream.on('data', () => undefined);
    await until('it to read on', () => taken > last + 100);
    on = false;
    stream.cancel();
    grpc.close();
    expect(gateway.stdout).not.toContain('MaxListenersExceededWarning');
  });

  it('keeps the order of its messages', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    for (let index = 0; index < 5000; index += 1) ws.send({ type: 'ping', id: index });
    await until('every answer', () => ws.messages.filter(({ type }) => type === 'pong').length === 5000, 20_000);
    expect(ws.messages.filter(({ type }) => type === 'pong').map(({ id }) => id)).toEqual(
      Array.from({ length: 5000 }, (_, index) => index),
    );
    ws.close();
  });
});
