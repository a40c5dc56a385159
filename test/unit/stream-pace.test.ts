import { beforeEach, describe, expect, it } from '@jest/globals';
import { StreamPace, streamLimitsOf } from '../../src/transport/stream-pace.js';

const MIB = 1_048_576;
const LIMITS = streamLimitsOf({
  RATE_LIMIT_MESSAGES_PER_SECOND: 100,
  RATE_LIMIT_MESSAGES_BURST: 20,
  RATE_LIMIT_INPUT_BYTES_PER_SECOND: MIB,
});

describe('the pace of a connection', () => {
  let now: number;
  let told: string[];
  let waiting: boolean;
  let pace: StreamPace;

  beforeEach(() => {
    [now, told, waiting] = [1000, [], false];
    const stream = {
      tellPace: (action: string) => void told.push(action),
      get waiting() {
        return waiting;
      },
    };
    pace = new StreamPace(LIMITS, stream, () => now);
  });
  /** Handles as many as come, each after its wait. */
  const send = (type: string, count: number): (number | null)[] =>
    Array.from({ length: count }, () => {
      const wait = pace.message(type);
      now += wait ?? 0;
      return wait;
    });

  it('is nobody’s business up to the burst, and then a hundred a second', () => {
    expect(send('resize', 20).every((wait) => wait === 0)).toBe(true);
    expect(told).toEqual([]);
    const began = now;
    expect(send('resize', 100).every((wait) => wait === 10)).toBe(true);
    expect(now - began).toBe(1000);
    expect(told).toEqual(['pause']);
    pace.end();
  });

  it.each(['constructor', '__proto__', 'toString'])('counts what is called %s as any other message', (type) => {
    expect(send(type, 20).every((wait) => wait === 0)).toBe(true);
    expect(send(type, 100).every((wait) => wait === 10)).toBe(true);
    pace.end();
  });

  it('is told to be right again once nothing waits and there is room', () => {
    send('resize', 50);
    waiting = true;
    now += 1000;
    pace.look();
    expect(told).toEqual(['pause']);
    waiting = false;
    pace.look();
    expect(told).toEqual(['pause', 'resume']);
    expect(pace.message('resize')).toBe(0);
  });

  it('ends it when messages go on coming too fast for five seconds', () => {
    const waits = send('resize', 600);
    const handled = waits.indexOf(null);
    expect(handled).toBeGreaterThan(500);
    expect(handled).toBeLessThan(540);
    expect(told).toEqual(['pause']);
    pace.end();
  });

  it('takes fifty acknowledgements for one message: output must not wait for them', () => {
    expect(send('ack', 1000).every((wait) => wait === 0)).toBe(true);
    expect(pace.message('ack')).toBe(0);
  });

  it('takes input by its size, at a mebibyte a second, and is never ended by it', () => {
    const began = now;
    for (let sent = 0; sent < 5 * MIB; sent += 65_536) now += pace.input(65_536);
    expect((now - began) / 1000).toBeCloseTo(4.75, 1);
    for (let sent = 0; sent < 100 * MIB; sent += 65_536) now += pace.input(65_536);
    expect(told).toEqual([]);
    expect(pace.message('resize')).toBe(0);
  });

  it('takes keystrokes as they come, and not a flood of them without end', () => {
    const typed = Array.from({ length: 4000 }, () => pace.input(1));
    expect(typed.every((wait) => wait === 0)).toBe(true);
    const flood = Array.from({ length: 1000 }, () => pace.input(1));
    expect(flood.at(-1)).toBeGreaterThan(0);
  });
});
