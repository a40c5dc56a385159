/** What every ring may have, whatever the others hold: less leaves no room for flow control. */
export const MIN_RING_BYTES = 64 * 1024;
/** A ring grows by this at least, or by all it asked for: each growth copies what is retained. */
const GRAIN_BYTES = 64 * 1024;

/** The memory that the rings of all live sessions share. */
export class RingBudget {
  #used = 0;

  /** @param limit bytes for all together; what each may have in any case can lead beyond it */
  constructor(readonly limit: number) {}

  /** Bytes that the rings hold. */
  get used(): number {
    return this.#used;
  }

  /** Bytes that a ring of this size could have in the end, if it asked for as many as it can use. */
  reach(size: number, wanted: number): number {
    return size + this.#grantable(size, wanted);
  }

  /**
   * Lets a ring grow as far as there is room.
   * @param size bytes that it has
   * @param wanted bytes that it would have, no fewer
   * @returns bytes that it may have now, between the two
   */
  grow(size: number, wanted: number): number {
    const granted = this.#grantable(size, wanted);
    this.#used += granted;
    return size + granted;
  }

  /** A ring gives bytes back. */
  release(bytes: number): void {
    this.#used -= bytes;
  }

  #grantable(size: number, wanted: number): number {
    const assured = Math.max(0, Math.min(wanted, MIN_RING_BYTES) - size);
    const more = wanted - size - assured;
    const left = Math.max(0, this.limit - this.#used - assured);
    return assured + (more <= left ? more : left - (left % GRAIN_BYTES));
  }
}

/** For a ring that shares with nobody. */
export const unlimitedBudget = (): RingBudget => new RingBudget(Number.MAX_SAFE_INTEGER);
