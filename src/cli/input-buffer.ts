/** Input that a cut could lose is kept up to here. */
const MAX_KEPT = 256 * 1024;

/**
 * What was typed, by position: sent or not, it is kept until the server has told that it is applied, so that a reconnect
 * resends exactly what is missing.
 */
export class InputBuffer {
  #bytes: Buffer = Buffer.alloc(0);
  /** Position of the first byte kept. */
  #start = 0;

  /** Position of the next byte typed. */
  get end(): number {
    return this.#start + this.#bytes.length;
  }

  /** Keeps what was typed and was sent; the oldest goes when it is too much. */
  add(bytes: Buffer): void {
    const all = Buffer.concat([this.#bytes, bytes]);
    const excess = Math.max(0, all.length - MAX_KEPT);
    this.#bytes = all.subarray(excess);
    this.#start += excess;
  }

  /** Is there room for this much that is not sent yet? */
  hasRoom(bytes: number, unsent: number): boolean {
    return unsent + bytes <= MAX_KEPT;
  }

  /** The server has applied everything before `position`; returns what it has not. */
  confirmed(position: number): Buffer {
    const drop = Math.min(Math.max(position - this.#start, 0), this.#bytes.length);
    this.#bytes = this.#bytes.subarray(drop);
    this.#start += drop;
    return this.#bytes;
  }

  /** Position of the first byte that {@link confirmed} returned. */
  get start(): number {
    return this.#start;
  }
}
