import type { Timing } from './timing.js';

/** A fresh credential is got so long before the old one ends, or half-way when it does not live that long. */
const BEFORE_MS = 60_000;
/** However soon a credential ends by this machine's clock, which may be wrong, a fresh one is not got more often. */
const MIN_MS = 10_000;
/** Longest that a timer can be trusted with. */
const MAX_MS = 24 * 3600 * 1000;

/** Gets a fresh credential before the one in use ends, so that an open connection need not end with it. */
export class Renewal {
  #cancel: (() => void) | null = null;

  constructor(
    private readonly timing: Timing,
    private readonly renew: () => void,
  ) {}

  /** The credential in use ends then. @param expiresAt milliseconds since 1970; null: never */
  expiresAt(expiresAt: number | null): void {
    this.stop();
    if (expiresAt === null) return;
    const left = expiresAt - this.timing.date();
    const wanted = Math.max(left - BEFORE_MS, left / 2, MIN_MS);
    const wait = Math.min(wanted, MAX_MS);
    this.#cancel = this.timing.after(wait, () => {
      if (wait < wanted) this.expiresAt(expiresAt);
      else this.renew();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}
