import { malformed } from './errors.js';
import type { DataFrame } from './frames.js';
import type { AttachedMessage } from './messages.js';
import { type Snapshot, SnapshotParts } from './snapshot.js';

/** Who shows what comes. */
export interface OutputSink {
  onOutput(bytes: Uint8Array, next: number): void;
  onSnapshot(snapshot: Snapshot): void;
}

/** The output of a session over all its connections: in order, and each byte once. */
export class OutputStream {
  #wanted: number | null;
  #parts: SnapshotParts | null = null;

  /** @param from offset of the first byte wanted; null: what the server thinks best, usually a snapshot */
  constructor(
    from: number | null,
    private readonly sink: OutputSink,
  ) {
    this.#wanted = from;
  }

  /** Offset of the next byte wanted, to attach with; null before the first. */
  get wanted(): number | null {
    return this.#wanted;
  }

  /** A connection begins. What an earlier one left of a snapshot is of no use: the server sends another one. */
  attached({ from, snapshot, cols, rows }: AttachedMessage): void {
    this.#parts = snapshot ? new SnapshotParts(from, cols, rows) : null;
    if (snapshot) return;
    if (this.#wanted === null) this.#wanted = from;
    else if (from > this.#wanted) this.#skip({ offset: from, cols, rows, bytes: new Uint8Array(0) });
  }

  /** Takes the next frame. @throws AttachError malformed when it leaves a gap, or comes before its turn */
  take(frame: DataFrame): void {
    if (frame.kind === 'snapshot') this.#takeSnapshot(frame);
    else this.#takeOutput(frame);
  }

  #takeSnapshot(frame: DataFrame): void {
    if (this.#parts === null) throw malformed('a snapshot comes that was not announced');
    const snapshot = this.#parts.add(frame);
    if (snapshot === null) return;
    this.#parts = null;
    this.#skip(snapshot);
  }

  #takeOutput({ offset, bytes }: DataFrame): void {
    if (this.#parts !== null) throw malformed('output comes in the middle of a snapshot');
    if (this.#wanted === null) throw malformed('output comes before the attachment');
    if (offset > this.#wanted) throw malformed(`output from ${this.#wanted} to ${offset} is missing`);
    // What was seen before is not shown twice.
    const fresh = bytes.subarray(this.#wanted - offset);
    if (fresh.length === 0) return;
    this.#wanted += fresh.length;
    this.sink.onOutput(fresh, this.#wanted);
  }

  #skip(snapshot: Snapshot): void {
    this.#wanted = snapshot.offset;
    this.sink.onSnapshot(snapshot);
  }
}
