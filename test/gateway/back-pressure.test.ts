import type { ServiceError } from '@grpc/grpc-js';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { AttachResponse__Output } from '../../src/generated/gatehouse/pty/v1/AttachResponse.js';
import type { StreamOutputResponse__Output } from '../../src/generated/gatehouse/pty/v1/StreamOutputResponse.js';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, type OutputCall, reasonOf } from '../support/grpc-client.js';
import { rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const MIB = 1024 * 1024;
const GROWTH = 48 * MIB;
const PRODUCED = 100 * MIB;
const LINE = `${'x'.repeat(98)}\r\n`;

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]) * 1024;
}

/** Bytes of the one repeated line, anywhere in it. */
const isFlood = (bytes: Buffer, offset: number): boolean => {
  const from = offset % LINE.length;
  const whole = LINE.repeat(Math.ceil((from + bytes.length) / LINE.length));
  return bytes.equals(Buffer.from(whole.slice(from, from + bytes.length)));
};

describe('a client that stops reading a flood', () => {
  let gateway: TestGateway;
  let id: string;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());
  beforeEach(async () => {
    id = await startSession(gateway, alice, { command: ['/usr/bin/yes', 'x'.repeat(98)] });
  });

  // A flood that nobody watches goes on.
  afterEach(() => rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`));

  const written = async (): Promise<number> => {
    const { headers } = await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output?from=0&limit=1`);
    return Number(headers.get('x-output-end'));
  };

  /** Another client, the controller, takes all that comes, so that the program goes on at full speed. */
  async function drain(): Promise<WsClient> {
    const path = `/ws/pty?id=${id}&mode=controller`;
    const ws = await WsClient.open(gateway, path, { credential: alice, binary: true });
    ws.keep = false;
    return ws;
  }

  /** A viewer that has begun to read. On a busy machine it may fall behind before, as it should: then it comes again. */
  async function viewer(): Promise<WsClient> {
    for (;;) {
      const path = `/ws/pty?id=${id}&mode=viewer`;
      const ws = await WsClient.open(gateway, path, { credential: alice, binary: true });
      await until('some output, or its end', () => ws.received > MIB || ws.closed !== null);
      if (ws.closed === null) return ws;
    }
  }

  /** Lets 100 MB and 5 seconds of flood pass by; how far the gateway has grown at most. */
  async function growthDuringFlood(): Promise<number> {
    const [from, since, before] = [await written(), Date.now(), residentBytes(gateway.pid)];
    let most = before;
    await until(
      'the flood',
      async () => {
        most = Math.max(most, residentBytes(gateway.pid));
        await pause(100);
        return Date.now() - since > 5000 && (await written()) > from + PRODUCED;
      },
      40_000,
    );
    return most - before;
  }

  it('over WebSocket, as viewer, costs the gateway no memory, and is told where to resume', async () => {
    const fast = await drain();
    const slow = await viewer();
    await until('warm buffers', () => fast.received > 32 * MIB);
    slow.socket.pause();
    expect(await growthDuringFlood()).toBeLessThan(GROWTH);
    slow.socket.resume();
    const { code, offset } = await slow.next('detached');
    const got = slow.bytes();
    const first = slow.firstOffset.get(0) ?? -1;
    expect([code, offset]).toEqual(['LAGGING', first + got.length]);
    expect(isFlood(got, first)).toBe(true);
    expect((await slow.closes()).code).toBe(4005);
    fast.close();
  });

  it('over gRPC, as viewer, costs the gateway no memory, is told that it lagged, and may resume', async () => {
    const fast = await drain();
    const grpc = new GrpcClient(gateway, alice);
    const stream = grpc.attach();
    let [next, gaps] = [-1, 0];
    stream.on('data', ({ output }: AttachResponse__Output) => {
      if (output) {
        const { offset, data = Buffer.alloc(0) } = output;
        if ((next >= 0 && Number(offset) !== next) || !isFlood(data, Number(offset))) gaps += 1;
        next = Number(offset) + data.length;
      }
    });
    const end = endOf(stream);
    stream.write({ attach: { session: id, mode: 'ATTACH_MODE_VIEWER' } });
    await until('some output', () => next > 0);
    await until('warm buffers', () => fast.received > 32 * MIB);
    stream.pause();
    expect(await growthDuringFlood()).toBeLessThan(GROWTH);
    stream.resume();
    expect(reasonOf((await end) as ServiceError)).toBe('LAGGING');
    expect(gaps).toBe(0);
    // grpc-js drops unread frames, `detached` too, when an error status comes; what the client counted is enough.
    const again = grpc.attach();
    again.write({ attach: { session: id, mode: 'ATTACH_MODE_VIEWER', from: next } });
    const resumed = await new Promise<AttachResponse__Output>((resolve) => again.once('data', resolve));
    again.on('error', () => undefined).cancel();
    expect(Number(resumed.attached?.from)).toBeGreaterThanOrEqual(next);
    grpc.close();
    fast.close();
  });

  it('over StreamOutput costs the gateway no memory, is told that it lagged, and goes on where it was', async () => {
    const fast = await drain();
    const grpc = new GrpcClient(gateway, alice);
    let [next, gaps] = [-1, 0];
    const follow = (stream: OutputCall): Promise<ServiceError | null> => {
      stream.on('data', ({ output }: StreamOutputResponse__Output) => {
        if (!output) return;
        const { offset, data = Buffer.alloc(0) } = output;
        if ((next >= 0 && Number(offset) !== next) || !isFlood(data, Number(offset))) gaps += 1;
        next = Number(offset) + data.length;
      });
      return endOf(stream);
    };
    const stream = grpc.streamOutput({ id });
    const end = follow(stream);
    await until('some output', () => next > 0);
    await until('warm buffers', () => fast.received > 32 * MIB);
    stream.pause();
    expect(await growthDuringFlood()).toBeLessThan(GROWTH);
    stream.resume();
    expect(reasonOf((await end) as ServiceError)).toBe('LAGGING');
    expect(gaps).toBe(0);
    const [resumed, from] = [grpc.streamOutput({ id, from: next }), next];
    next = -1;
    void follow(resumed);
    await until('it to go on', () => next > from);
    expect(gaps).toBe(0);
    resumed.cancel();
    grpc.close();
    fast.close();
  });

  it('as controller makes the program wait, and then goes on without a gap', async () => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}&mode=controller`, { credential: alice, binary: true });
    await until('some output', () => ws.bytes().length > MIB);
    ws.socket.pause();
    let [before, since] = [-1, 0];
    await until('the program to wait', async () => {
      const now = await written();
      if (now !== before) [before, since] = [now, performance.now()];
      await pause(100);
      return performance.now() - since > 1500;
    });
    const resident = residentBytes(gateway.pid);
    await pause(1000);
    expect(await written()).toBe(before);
    expect(residentBytes(gateway.pid) - resident).toBeLessThan(GROWTH);
    ws.socket.resume();
    const first = ws.firstOffset.get(0) ?? -1;
    await until('the flood to go on', () => first + ws.bytes().length > before + MIB);
    expect(isFlood(ws.bytes(), first)).toBe(true);
    ws.close();
  });
});
