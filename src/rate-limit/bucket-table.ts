/** Buckets that share a place; of those the one that is full again first gives way. */
const WAYS = 8;
/** Places for a million addresses with room to spare: 32 MiB, of which only what is used is real memory. */
export const MAX_BUCKETS = 2 ** 21;

/** What a bucket is called: 64 bits of a hash, so that long names cost no more than short ones. */
export interface BucketName {
  readonly high: number;
  readonly low: number;
}

/**
 * When each of very many buckets is full again, in a table of fixed size. Where there is no room the bucket goes that has
 * the least to tell: who has used up the most is forgotten last, however many others come.
 */
export class BucketTable {
  readonly #high: Uint32Array;
  readonly #low: Uint32Array;
  readonly #fullAt: Float64Array;
  readonly #mask: number;

  /** @param size buckets that are remembered, a power of two */
  constructor(size = MAX_BUCKETS) {
    this.#high = new Uint32Array(size);
    this.#low = new Uint32Array(size);
    this.#fullAt = new Float64Array(size);
    this.#mask = size / WAYS - 1;
  }

  /** When it is full again; 0 for one that is not known, and so is full. */
  get(name: BucketName): number {
    const at = this.#find(name);
    return at < 0 ? 0 : (this.#fullAt[at] ?? 0);
  }

  set(name: BucketName, fullAt: number): void {
    const known = this.#find(name);
    const at = known < 0 ? this.#least(name) : known;
    this.#high[at] = name.high;
    this.#low[at] = name.low;
    this.#fullAt[at] = fullAt;
  }

  #first({ low }: BucketName): number {
    return (low & this.#mask) * WAYS;
  }

  #find(name: BucketName): number {
    const first = this.#first(name);
    for (let at = first; at < first + WAYS; at += 1) {
      if (this.#low[at] === name.low && this.#high[at] === name.high && this.#fullAt[at] !== 0) return at;
    }
    return -1;
  }

  #least(name: BucketName): number {
    const first = this.#first(name);
    let least = first;
    for (let at = first + 1; at < first + WAYS; at += 1) {
      if ((this.#fullAt[at] ?? 0) < (this.#fullAt[least] ?? 0)) least = at;
    }
    return least;
  }
}
