/** The first allocation; doubled as output comes, so that an idle session stays small. */
const INITIAL_BYTES = 16 * 1024;

/** The retained output of a session: the last `capacity` bytes, addressed by their absolute offset. */
export class Ring {
  #bytes = Buffer.alloc(0);
  #end = 0;

  /** @param capacity bytes kept at most */
  constructor(readonly capacity: number) {}

  /** Offset of the oldest byte held. */
  get start(): number {
    return Math.max(0, this.#end - this.capacity);
  }

  /** Offset after the newest byte. */
  get end(): number {
    return this.#end;
  }

  /** Bytes that can still be appended before older ones are lost. */
  get free(): number {
    return this.capacity - (this.#end - this.start);
  }

  /** Memory in use. */
  get allocated(): number {
    return this.#bytes.length;
  }

  /** Adds a copy of `bytes`, rolling over the oldest when full. */
  append(bytes: Buffer): void {
    const skipped = Math.max(0, bytes.length - this.capacity);
    this.#grow(Math.min(this.capacity, this.#end + bytes.length));
    // Offsets stay below the allocation until it has reached the capacity, so this is right while growing too.
    let at = (this.#end + skipped) % this.capacity;
    for (let from = skipped; from < bytes.length; at = 0) {
      from += bytes.copy(this.#bytes, at, from, from + Math.min(bytes.length - from, this.capacity - at));
    }
    this.#end += bytes.length;
  }

  /**
   * Copies retained bytes from offset `from` on into `target`.
   * @param length at most so many
   * @returns how many were copied
   * @throws RangeError when `from` is not retained
   */
  copyTo(target: Buffer, at: number, from: number, length: number): number {
    if (from < this.start || from > this.#end) throw new RangeError('offset outside the ring');
    const count = Math.min(length, this.#end - from);
    const position = from % this.capacity;
    const first = Math.min(count, this.capacity - position);
    this.#bytes.copy(target, at, position, position + first);
    if (first < count) this.#bytes.copy(target, at + first, 0, count - first);
    return count;
  }

  /** A copy of at most `length` bytes from offset `from` on. */
  read(from: number, length: number): Buffer {
    const target = Buffer.allocUnsafe(Math.max(0, Math.min(length, this.#end - from)));
    return target.subarray(0, this.copyTo(target, 0, from, target.length));
  }

  /** Gives back the unused part of the memory, once nothing more will be appended. */
  trim(): void {
    if (this.#end < this.#bytes.length) this.#resize(this.#end);
  }

  #grow(needed: number): void {
    if (needed <= this.#bytes.length) return;
    this.#resize(Math.min(this.capacity, Math.max(needed, this.#bytes.length * 2, INITIAL_BYTES)));
  }

  #resize(size: number): void {
    const bytes = Buffer.allocUnsafeSlow(size);
    this.#bytes.copy(bytes);
    this.#bytes = bytes;
  }
}
