/** A program is told of a new size at most once in so many milliseconds. */
const INTERVAL_MS = 16;

/** Lets the first of a burst of sizes through at once and the last one at its end. */
export class Resizer {
  #pending: { readonly cols: number; readonly rows: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param apply tells the program */
  constructor(private readonly apply: (cols: number, rows: number) => void) {}

  /** Applies the size now, or when the interval since the last one is over. */
  request(cols: number, rows: number): void {
    if (this.#timer) {
      this.#pending = { cols, rows };
      return;
    }
    this.apply(cols, rows);
    this.#timer = setTimeout(() => {
      const pending = this.#pending;
      this.#timer = undefined;
      this.#pending = undefined;
      if (pending) this.request(pending.cols, pending.rows);
    }, INTERVAL_MS);
  }

  /** Forgets what is pending. */
  close(): void {
    clearTimeout(this.#timer);
    this.#pending = undefined;
  }
}
