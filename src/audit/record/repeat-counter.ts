import { LRUCache } from 'lru-cache';

/** What was counted under one key since its first occurrence. */
interface Window<T> {
  readonly first: T;
  count: number;
}

/**
 * Tells the first occurrence of a key at once and counts the rest of its window, which is told as one at the window's
 * end. Bounded: past `max` keys the oldest window ends early, so nothing is dropped without its count.
 */
export class RepeatCounter<T> {
  readonly #windows: LRUCache<string, Window<T>>;
  readonly #sweep: NodeJS.Timeout;

  /** @param tell called with the number of further occurrences, only when there were any */
  constructor(max: number, windowMs: number, tell: (first: T, further: number) => void) {
    this.#windows = new LRUCache({
      max,
      ttl: windowMs,
      updateAgeOnGet: false,
      dispose: ({ first, count }) => {
        if (count > 0) tell(first, count);
      },
    });
    this.#sweep = setInterval(() => this.#windows.purgeStale(), Math.max(windowMs / 10, 1000));
    this.#sweep.unref();
  }

  /** Returns true when this is the first of its window, which the caller tells itself. */
  isFirst(key: string, value: T): boolean {
    const window = this.#windows.get(key);
    if (window) {
      window.count += 1;
      return false;
    }
    this.#windows.set(key, { first: value, count: 0 });
    return true;
  }

  /** Ends every window now. */
  end(): void {
    clearInterval(this.#sweep);
    this.#windows.clear();
  }
}
