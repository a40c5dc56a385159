import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InputBuffer, MAX_KEPT_BYTES } from '../../src/client/input-buffer.js';

const PIECE = 7;

/** The session's side, as the protocol describes it: what was applied is dropped, what leaves a gap is refused. */
class Session {
  readonly applied: number[] = [];
  next = 0;
  controlled = true;
  /** Frames on their way, oldest first. */
  wire: { position: number; bytes: number[] }[] = [];
  /** Answers on their way back, oldest first. */
  back: { kind: 'ack' | 'refused'; next: number }[] = [];

  arrive(): void {
    const frame = this.wire.shift();
    if (frame === undefined) return;
    if (!this.controlled || frame.position > this.next) {
      this.back.push({ kind: 'refused', next: this.next });
      return;
    }
    const fresh = frame.bytes.slice(this.next - frame.position);
    this.applied.push(...fresh);
    this.next += fresh.length;
    this.back.push({ kind: 'ack', next: this.next });
  }
}

type Step = 'type' | 'send' | 'arrive' | 'answer' | 'cut' | 'lose control' | 'take control';
const steps: readonly Step[] = [
  'type',
  'type',
  'send',
  'send',
  'arrive',
  'arrive',
  'answer',
  'cut',
  'lose control',
  'take control',
];

class Run {
  readonly buffer = new InputBuffer();
  readonly session = new Session();
  /** Numbers of the bytes typed since control was gained last; in whole, those that must be applied in the end. */
  owed: number[] = [];
  #typed = 0;

  step(step: Step): void {
    switch (step) {
      case 'type':
        if (this.session.controlled) this.#type();
        return;
      case 'send':
        this.#send();
        return;
      case 'arrive':
        this.session.arrive();
        return;
      case 'answer':
        this.#answer();
        return;
      case 'cut':
        this.session.wire = [];
        this.session.back = [];
        this.buffer.resume(this.session.next);
        return;
      case 'lose control':
        this.session.controlled = false;
        this.buffer.giveUp();
        this.owed = [];
        return;
      case 'take control':
        this.session.controlled = true;
    }
  }

  /** Whatever is left arrives. */
  settle(): void {
    this.session.controlled = true;
    for (let round = 0; round < 10_000 && (this.buffer.length > 0 || this.session.back.length > 0); round += 1) {
      this.#send();
      while (this.session.wire.length > 0) this.session.arrive();
      while (this.session.back.length > 0) this.#answer();
    }
  }

  #type(): void {
    const bytes = Array.from({ length: 1 + (this.#typed % 13) }, (_, index) => this.#typed + index);
    if (!this.buffer.add(Uint8Array.from(bytes, (byte) => byte % 256))) return;
    this.#typed += bytes.length;
    this.owed.push(...bytes);
  }

  #send(): void {
    if (!this.session.controlled) return;
    const unsent = this.buffer.unsent(PIECE);
    if (unsent !== null) this.session.wire.push({ position: unsent.position, bytes: [...unsent.bytes] });
  }

  #answer(): void {
    const answer = this.session.back.shift();
    if (answer?.kind === 'ack') this.buffer.applied(answer.next);
    else if (answer !== undefined) expect(this.buffer.resume(answer.next)).toBe(0);
  }
}

describe('input that is kept until it is applied', () => {
  it('is applied once and in order, whatever is cut, refused or taken over in between', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...steps), { maxLength: 400 }), (script) => {
        const run = new Run();
        for (const step of script) run.step(step);
        run.settle();
        const { applied } = run.session;
        // What is owed to the last controller came last; what came before was never applied out of turn or twice.
        expect(applied.slice(applied.length - run.owed.length)).toEqual(run.owed.map((byte) => byte % 256));
        expect(run.buffer.length).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('without a change of control is applied whole', () => {
    const without = steps.filter((step) => !step.endsWith('control'));
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...without), { maxLength: 400 }), (script) => {
        const run = new Run();
        for (const step of script) run.step(step);
        run.settle();
        expect(run.session.applied).toEqual(run.owed.map((byte) => byte % 256));
      }),
      { numRuns: 500 },
    );
  });

  it('has a limit, and room again for what was applied', () => {
    const buffer = new InputBuffer();
    expect(buffer.add(new Uint8Array(MAX_KEPT_BYTES))).toBe(true);
    expect(buffer.add(new Uint8Array(1))).toBe(false);
    buffer.applied(10);
    expect(buffer.add(new Uint8Array(11))).toBe(false);
    expect(buffer.add(new Uint8Array(10))).toBe(true);
    expect([buffer.length, buffer.end]).toEqual([MAX_KEPT_BYTES, MAX_KEPT_BYTES + 10]);
  });

  it('is given up when the session has forgotten who typed it: it might be typed twice', () => {
    const buffer = new InputBuffer();
    buffer.add(new Uint8Array(10));
    buffer.unsent(100);
    buffer.applied(4);
    expect(buffer.resume(0)).toBe(6);
    buffer.add(Uint8Array.of(1, 2));
    expect(buffer.unsent(100)).toMatchObject({ position: 0, bytes: Uint8Array.of(1, 2) });
  });
});
