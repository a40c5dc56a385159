/** The memory that all rings share: what a ring holds under changing room, and many floods at once in a real runner. */
import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FlowControl } from '../../src/runner/flow.js';
import { Ring } from '../../src/runner/ring.js';
import { MIN_RING_BYTES, RingBudget } from '../../src/runner/ring-budget.js';
import { RunnerProcess } from './runner-process.js';
import { until } from './until.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const RINGS = 3;

/** Byte n of the output of ring `index`. */
const byteAt = (index: number, offset: number): number => (offset * 31 + (offset >> 8) * 17 + index) & 0xff;
const piece = (index: number, from: number, length: number): Buffer => {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) bytes[at] = byteAt(index, from + at);
  return bytes;
};

type Step =
  | { readonly kind: 'append' | 'reserve'; readonly ring: number; readonly length: number }
  | { readonly kind: 'end'; readonly ring: number };

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constantFrom('append' as const, 'reserve' as const),
        ring: fc.nat({ max: RINGS - 1 }),
        length: fc.nat({ max: 200 * KIB }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), ring: fc.nat({ max: RINGS - 1 }) }) },
  ),
  { maxLength: 40 },
);

/** Everything the ring says it has is what was written there, to the byte. */
function isRight(ring: Ring, index: number): boolean {
  const { start, end } = ring;
  if (!ring.read(start, end - start).equals(piece(index, start, end - start))) return false;
  const middle = start + Math.floor((end - start) / 2);
  return ring.read(middle, 1000).equals(piece(index, middle, Math.min(1000, end - middle)));
}

describe('rings that share memory', () => {
  it('never give a wrong byte, never forget one that they must hold, and keep to the total', () => {
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 0, max: MIB }),
        fc.integer({ min: 1, max: 500 * KIB }),
        (all, total, limit) => {
          const budget = new RingBudget(total);
          const rings = Array.from({ length: RINGS }, () => new Ring(limit, budget));
          for (const step of all as Step[]) {
            const before = rings[step.ring];
            if (before === undefined) return false;
            if (step.kind === 'end') {
              before.trim();
              if (!isRight(before, step.ring)) return false;
              rings[step.ring] = new Ring(limit, budget);
            } else if (step.kind === 'reserve') before.reserve(step.length);
            else {
              const held = Math.min(before.end - before.start + step.length, before.capacity);
              const { end } = before;
              before.append(piece(step.ring, end, step.length));
              if (before.end !== end + step.length || before.end - before.start < held) return false;
            }
            const bounded = rings.every((ring) => ring.allocated <= limit && ring.end - ring.start <= ring.allocated);
            const used = rings.reduce((sum, ring) => sum + ring.allocated, 0);
            const most = Math.max(total, 0) + RINGS * MIN_RING_BYTES;
            if (!bounded || used !== budget.used || used > most) return false;
            if (!rings.every((ring, index) => isRight(ring, index))) return false;
          }
          return true;
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);

  it('have at least 64 KiB each, and grow again when another session ends', () => {
    const budget = new RingBudget(MIB);
    const [large, small] = [new Ring(4 * MIB, budget), new Ring(4 * MIB, budget)];
    large.append(Buffer.alloc(2 * MIB));
    expect([large.allocated, large.start]).toEqual([MIB, MIB]);
    small.append(Buffer.alloc(MIB));
    expect([small.allocated, small.end - small.start]).toEqual([64 * KIB, 64 * KIB]);
    large.trim();
    small.append(piece(1, MIB, 512 * KIB));
    expect(small.end - small.start).toBe(64 * KIB + 512 * KIB);
    expect(small.read(MIB, MIB).equals(piece(1, MIB, 512 * KIB))).toBe(true);
  });

  it('stop the program for the controller before it falls out, however small they are', () => {
    const calls: string[] = [];
    const source = { pause: () => calls.push('pause'), resume: () => calls.push('resume') };
    const budget = new RingBudget(0);
    const ring = new Ring(4 * MIB, budget);
    const control = new FlowControl(source, ring, () => undefined);
    ring.append(Buffer.alloc(100 * KIB));
    control.update(16 * KIB, ring.free);
    expect(calls).toEqual([]);
    control.update(16 * KIB + 1, ring.free);
    expect([calls, ring.capacity]).toEqual([['pause'], 64 * KIB]);
    control.update(4 * KIB, ring.free);
    expect(calls).toEqual(['pause', 'resume']);
  });

  it('do not stop it for being small when they can grow', () => {
    const calls: string[] = [];
    const ring = new Ring(4 * MIB, new RingBudget(64 * MIB));
    const source = { pause: () => calls.push('pause'), resume: () => calls.push('resume') };
    const control = new FlowControl(source, ring, () => undefined);
    ring.append(Buffer.alloc(100 * KIB));
    control.update(100 * KIB, ring.free);
    expect(calls).toEqual([]);
    expect(ring.capacity).toBeGreaterThanOrEqual(400 * KIB);
  });
});

describe('many sessions that flood at once', () => {
  let runner: RunnerProcess;
  afterEach(() => runner.stop());

  it('keep to the total, each with its newest output, and no program hears of it', async () => {
    const [count, total] = [24, 8 * MIB];
    runner = await RunnerProcess.start(['--rings-total-bytes', String(total)]);
    const last = 'LAST-LINE';
    const flood = ['sh', '-c', `yes ${'x'.repeat(98)} | head -c 6000000; printf ${last}; exec sleep 600`];
    const ids = await Promise.all(Array.from({ length: count }, async () => (await runner.startSession(flood)).id));
    const sessions = () => Promise.all(ids.map((id) => runner.session(id)));
    await until(
      async () => {
        const all = await Promise.all(ids.map((id) => runner.read({ id, from: 0, limit: MIB })));
        return all.every(({ output_next = 0 }) => output_next >= 6_000_000 + last.length);
      },
      'every flood is over',
      120_000,
    );
    const held = (await sessions()).map(({ state, dropped_before = 0, output_next = 0 }) => {
      expect(state).toBe('running');
      return output_next - dropped_before;
    });
    expect(Math.min(...held)).toBeGreaterThanOrEqual(64 * KIB);
    // Without the total it would be 24 times 4 MiB.
    expect(held.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(total + count * 64 * KIB);
    for (const id of ids) {
      const { output_next = 0 } = await runner.session(id);
      const { data } = await runner.read({ id, from: output_next - last.length, limit: MIB });
      expect(data?.toString()).toBe(last);
    }
  }, 180_000);

  it('let the controller of one see every byte, though its ring cannot grow', async () => {
    runner = await RunnerProcess.start(['--rings-total-bytes', '65536']);
    const { id } = await runner.startSession(['sh', '-c', 'stty -opost; seq 1 1500000']);
    const link = await runner.link();
    link.keep = false;
    await link.attach(id, { from: 0 });
    // A client that stops and goes, so that it lags again and again.
    let read = 0;
    link.onHeader = () => {
      read += 1;
      if (read % 20 !== 0) return;
      link.socket.pause();
      setTimeout(() => link.socket.resume(), 5);
    };
    await until(() => link.closed, 'the end', 120_000);
    expect(link.messages.at(-1)).toMatchObject({ type: 'process_exited', reason: 'exited' });
    expect(link.bytes).toBe((await runner.session(id)).output_next);
    expect(link.messages.filter(({ type }) => type === 'detached')).toEqual([]);
  }, 180_000);
});
