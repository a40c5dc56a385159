import type { Timing } from './timing.js';

const FIRST_MS = 250;
const MAX_MS = 5000;
/** A connection that held for less says nothing about the next one: a server that drops everybody is not hurried. */
const STABLE_MS = 5000;

/** How long to wait before each attempt to come back: twice as long each time, and never all clients at once. */
export class Backoff {
  #delayMs = FIRST_MS;
  #brokenSince: number | null = null;
  #connectedAt: number | null = null;

  /** @param giveUpAfterMs how long attempts are made before there are no more */
  constructor(
    private readonly giveUpAfterMs: number,
    private readonly timing: Timing,
  ) {}

  /** The connection works. */
  connected(): void {
    this.#brokenSince = null;
    this.#connectedAt = this.timing.now();
  }

  /** The connection is gone, or was not to be had. @returns milliseconds until the next attempt; null: no more */
  next(): number | null {
    const now = this.timing.now();
    if (this.#connectedAt !== null && now - this.#connectedAt >= STABLE_MS) this.#delayMs = FIRST_MS;
    this.#connectedAt = null;
    this.#brokenSince ??= now;
    if (now - this.#brokenSince > this.giveUpAfterMs) return null;
    const delay = this.#delayMs * (0.5 + this.timing.random());
    this.#delayMs = Math.min(this.#delayMs * 2, MAX_MS);
    return delay;
  }
}
