import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { DataFrame } from '../../src/client/frames.js';
import type { AttachedMessage } from '../../src/client/messages.js';
import { OutputStream } from '../../src/client/output-stream.js';
import type { Snapshot } from '../../src/client/snapshot.js';

const WHOLE = Uint8Array.from({ length: 600 }, (_, index) => (index * 7) % 251);

const attachedAt = (from: number, snapshot = false): AttachedMessage => ({
  type: 'attached',
  epoch: 'e',
  mode: 'viewer',
  from,
  snapshot,
  cols: 80,
  rows: 24,
  inputNext: 0,
  attachment: 1,
});
const output = (from: number, to: number): DataFrame => ({
  kind: 'output',
  offset: from,
  last: false,
  bytes: WHOLE.slice(from, to),
});
const fragment = (offset: number, text: string, last: boolean): DataFrame => ({
  kind: 'snapshot',
  offset,
  last,
  bytes: new TextEncoder().encode(text),
});

/** A terminal that knows which of the output it has seen. */
class Shown {
  readonly snapshots: Snapshot[] = [];
  bytes = Buffer.alloc(0);
  /** Offset of the first byte in `bytes`. */
  since = 0;
  readonly stream: OutputStream;

  constructor(from: number | null) {
    this.stream = new OutputStream(from, {
      onOutput: (bytes) => {
        this.bytes = Buffer.concat([this.bytes, bytes]);
      },
      onSnapshot: (snapshot) => {
        this.snapshots.push(snapshot);
        this.bytes = Buffer.alloc(0);
        this.since = snapshot.offset;
      },
    });
  }
}

/** One connection: where the retained output begins, how the server cuts its frames, and how many arrive. */
const connection = fc.record({
  dropped: fc.nat(300),
  sizes: fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 12 }),
  fragments: fc.integer({ min: 1, max: 4 }),
  arrive: fc.nat(12),
  overlap: fc.nat(20),
});

describe('output over many connections', () => {
  it('is shown once and in order, and a snapshot stands for what is gone', () => {
    fc.assert(
      fc.property(fc.option(fc.constant(0)), fc.array(connection, { maxLength: 12 }), (first, connections) => {
        const shown = new Shown(first);
        let dropped = 0;
        for (const each of connections) {
          dropped = Math.max(dropped, each.dropped);
          const { wanted } = shown.stream;
          const snapshot = wanted === null || wanted < dropped;
          let at = snapshot ? Math.max(dropped, wanted ?? 0) : Math.max(wanted - each.overlap, dropped);
          shown.stream.attached(attachedAt(snapshot ? at : wanted, snapshot));
          const frames = snapshot
            ? Array.from({ length: each.fragments }, (_, index) =>
                fragment(at, 'screen ', index === each.fragments - 1),
              )
            : [];
          for (const size of each.sizes) {
            frames.push(output(at, Math.min(at + size, WHOLE.length)));
            at = Math.min(at + size, WHOLE.length);
          }
          for (const frame of frames.slice(0, each.arrive)) shown.stream.take(frame);
          const { since, bytes } = shown;
          expect(bytes.equals(WHOLE.subarray(since, since + bytes.length))).toBe(true);
          if (shown.stream.wanted !== null) expect(shown.stream.wanted).toBe(since + bytes.length);
        }
        for (const { bytes } of shown.snapshots) expect(new TextDecoder().decode(bytes)).toMatch(/^(screen )+$/);
      }),
      { numRuns: 1000 },
    );
  });

  it('asks again for a snapshot of which a part was lost, and shows nothing of the part', () => {
    const shown = new Shown(null);
    shown.stream.attached(attachedAt(100, true));
    shown.stream.take(fragment(100, 'half', false));
    expect([shown.stream.wanted, shown.snapshots]).toEqual([null, []]);
    shown.stream.attached(attachedAt(120, true));
    shown.stream.take(fragment(120, 'whole', true));
    shown.stream.take(output(120, 130));
    expect([shown.stream.wanted, shown.snapshots.map(({ bytes }) => bytes.length)]).toEqual([130, [5]]);
  });

  it('begins bare where output is gone and the server has no snapshot of it', () => {
    const shown = new Shown(0);
    shown.stream.attached(attachedAt(50));
    expect(shown.snapshots).toMatchObject([{ offset: 50, cols: 80, rows: 24, bytes: new Uint8Array(0) }]);
    shown.stream.take(output(50, 60));
    expect(shown.bytes).toHaveLength(10);
  });

  it.each<[string, (stream: OutputStream) => void]>([
    [
      'output that leaves a gap',
      (stream) => {
        stream.take(output(11, 20));
      },
    ],
    [
      'a snapshot nobody announced',
      (stream) => {
        stream.take(fragment(10, 'x', true));
      },
    ],
    [
      'output in the middle of a snapshot',
      (stream) => {
        stream.attached(attachedAt(10, true));
        stream.take(output(10, 11));
      },
    ],
    [
      'fragments of two snapshots',
      (stream) => {
        stream.attached(attachedAt(10, true));
        stream.take(fragment(10, 'x', false));
        stream.take(fragment(11, 'y', true));
      },
    ],
  ])('%s is no protocol', (_what, act) => {
    const { stream } = new Shown(10);
    stream.attached(attachedAt(10));
    expect(() => {
      act(stream);
    }).toThrow(expect.objectContaining({ name: 'AttachError', reason: 'malformed' }));
  });

  it('before the attachment is no protocol', () => {
    expect(() => {
      new Shown(null).stream.take(output(0, 1));
    }).toThrow('output comes before the attachment');
  });
});
