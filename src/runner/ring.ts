import { MIN_RING_BYTES, type RingBudget, unlimitedBudget } from './ring-budget.js';

/** The first allocation; doubled as output comes, so that an idle session stays small. */
const INITIAL_BYTES = 16 * 1024;

/**
 * The retained output of a session: its last bytes, addressed by their absolute offset. How many they are at most is
 * `limit`, or less while the rings of all sessions together have no more memory: then it rolls earlier.
 */
export class Ring {
  /** The byte of offset n lies at n modulo its length. */
  #bytes = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  /**
   * @param limit bytes kept at most
   * @param budget what it shares with other rings
   */
  constructor(
    readonly limit: number,
    private readonly budget: RingBudget = unlimitedBudget(),
  ) {}

  /** Offset of the oldest byte held. */
  get start(): number {
    return this.#start;
  }

  /** Offset after the newest byte. */
  get end(): number {
    return this.#end;
  }

  /** Bytes that it holds for sure, whatever other rings take meanwhile. */
  get capacity(): number {
    return Math.max(this.#bytes.length, Math.min(this.limit, MIN_RING_BYTES));
  }

  /** Bytes that can still be appended before older ones are lost, as long as no other ring takes the memory. */
  get free(): number {
    return this.budget.reach(this.#bytes.length, this.limit) - (this.#end - this.#start);
  }

  /** Memory in use. */
  get allocated(): number {
    return this.#bytes.length;
  }

  /** Takes memory beforehand, so that {@link capacity} is so many bytes: as far as the limit and the others allow. */
  reserve(bytes: number): void {
    const wanted = Math.min(bytes, this.limit);
    if (wanted > this.capacity) this.#grow(wanted);
  }

  /** Adds a copy of `bytes`, rolling over the oldest when full. */
  append(bytes: Buffer): void {
    const needed = Math.min(this.limit, this.#end - this.#start + bytes.length);
    if (needed > this.#bytes.length) this.#grow(needed);
    const size = this.#bytes.length;
    const skipped = Math.max(0, bytes.length - size);
    let at = (this.#end + skipped) % size;
    for (let from = skipped; from < bytes.length; at = 0) {
      from += bytes.copy(this.#bytes, at, from, from + Math.min(bytes.length - from, size - at));
    }
    this.#end += bytes.length;
    this.#start = Math.max(this.#start, this.#end - size);
  }

  /**
   * Copies retained bytes from offset `from` on into `target`.
   * @param length at most so many
   * @returns how many were copied
   * @throws RangeError when `from` is not retained
   */
  copyTo(target: Buffer, at: number, from: number, length: number): number {
    if (from < this.#start || from > this.#end) throw new RangeError('offset outside the ring');
    const count = Math.min(length, this.#end - from);
    if (count === 0) return 0;
    const position = from % this.#bytes.length;
    const first = Math.min(count, this.#bytes.length - position);
    this.#bytes.copy(target, at, position, position + first);
    if (first < count) this.#bytes.copy(target, at + first, 0, count - first);
    return count;
  }

  /** A copy of at most `length` bytes from offset `from` on. */
  read(from: number, length: number): Buffer {
    const target = Buffer.allocUnsafe(Math.max(0, Math.min(length, this.#end - from)));
    return target.subarray(0, this.copyTo(target, 0, from, target.length));
  }

  /**
   * Gives back the unused part of the memory, and leaves the shared budget to the rings that still grow, once nothing
   * more will be appended.
   */
  trim(): void {
    this.budget.release(this.#bytes.length);
    const used = this.#end - this.#start;
    if (used < this.#bytes.length) this.#resize(used);
  }

  #grow(needed: number): void {
    const wanted = Math.min(this.limit, Math.max(needed, this.#bytes.length * 2, INITIAL_BYTES));
    const size = this.budget.grow(this.#bytes.length, wanted);
    if (size > this.#bytes.length) this.#resize(size);
  }

  /** Moves what is retained, which fits: where a byte lies depends on the size. */
  #resize(size: number): void {
    const bytes = Buffer.allocUnsafeSlow(size);
    for (let from = this.#start; from < this.#end;) {
      const at = from % size;
      from += this.copyTo(bytes, at, from, size - at);
    }
    this.#bytes = bytes;
  }
}
