import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { WebSocket } from 'ws';
import { Heartbeat } from '../../src/transport/heartbeat.js';
import { pause, until } from '../support/gateway.js';
import { type WsPair, wsPair } from '../support/ws-pair.js';

const MIB = 1024 * 1024;
const BEAT_MS = 5000;
const EMPTY_PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

/** Takes at least so many bytes, and pauses again. */
async function take(peer: Socket, bytes: number): Promise<void> {
  const target = peer.bytesRead + bytes;
  peer.on('data', () => undefined).resume();
  await until('bytes', () => peer.bytesRead >= target);
  peer.pause();
}

describe('the heartbeat', () => {
  let pair: WsPair;
  let heartbeat: Heartbeat;
  let now: number;

  beforeEach(async () => {
    now = 0;
    pair = await wsPair();
    heartbeat = new Heartbeat(() => now);
    heartbeat.watch(pair.client, pair.wire);
  });
  afterEach(() => {
    heartbeat.stop();
    pair.end();
    jest.restoreAllMocks();
  });

  /** Lets time pass in beats. @returns whether the connection is still open */
  async function live(beats: number, inBetween: () => Promise<void> = () => pause(5)): Promise<boolean> {
    for (let beat = 0; beat < beats; beat += 1) {
      await inBetween();
      now += BEAT_MS;
      heartbeat.beat();
    }
    return pair.client.readyState === WebSocket.OPEN;
  }

  it('ends a connection whose other side is silent for more than 20 seconds', async () => {
    expect(await live(4)).toBe(true);
    expect(await live(1)).toBe(false);
  });

  it('takes anything received as life', async () => {
    const pong = async (): Promise<void> => {
      const before = pair.wire.bytesRead;
      pair.peer.write(EMPTY_PONG);
      await until('the pong', () => pair.wire.bytesRead > before);
    };
    expect(await live(12, pong)).toBe(true);
  });

  it('does not mind a step of the system clock', async () => {
    const real = Date.now.bind(Date);
    jest.spyOn(Date, 'now').mockImplementation(() => real() + 3_600_000);
    expect(await live(1)).toBe(true);
  });

  it('lets a slow link live as long as it takes output, and no longer', async () => {
    const flow = async (): Promise<void> => {
      while (pair.wire.writableLength < 32 * MIB) pair.wire.write(Buffer.alloc(MIB));
      await take(pair.peer, 5 * MIB);
    };
    expect(await live(8, flow)).toBe(true);
    // The kernel goes on filling its own buffers for a while after the other side took its last byte.
    await until('the end', async () => !(await live(1)));
  });

  it('ends no connection that we do not read ourselves', async () => {
    pair.client.pause();
    expect(await live(12)).toBe(true);
    pair.client.resume();
    expect(await live(6)).toBe(false);
  });
});
