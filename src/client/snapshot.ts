import { malformed } from './errors.js';
import type { DataFrame } from './frames.js';

/** A session's screen, for a terminal that was reset to `cols` × `rows`; output goes on at `offset`. */
export interface Snapshot {
  readonly offset: number;
  readonly cols: number;
  readonly rows: number;
  /** Escape sequences and text that paint it. Empty: the server had none, the screen begins bare. */
  readonly bytes: Uint8Array;
}

/** Longest snapshot that is put together; the largest terminal with all its scrollback in colours has less. */
export const MAX_SNAPSHOT_BYTES = 64 * 1024 * 1024;

/** Puts the fragments of one snapshot together, so that a screen is replaced whole or not at all. */
export class SnapshotParts {
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(
    private readonly offset: number,
    private readonly cols: number,
    private readonly rows: number,
  ) {}

  /** @returns the snapshot, with its last fragment. @throws AttachError malformed */
  add({ offset, bytes, last }: DataFrame): Snapshot | null {
    if (offset !== this.offset) throw malformed('a fragment belongs to another snapshot');
    this.#length += bytes.length;
    if (this.#length > MAX_SNAPSHOT_BYTES) throw malformed('a snapshot is too long');
    this.#parts.push(bytes);
    if (!last) return null;
    return { offset, cols: this.cols, rows: this.rows, bytes: this.#joined() };
  }

  #joined(): Uint8Array {
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }
}
