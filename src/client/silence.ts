import type { Timing } from './timing.js';

const LOOK_EVERY_MS = 5000;
/** After so many looks without a sign of life one is asked for. */
const ASK_AFTER = 2;
/** After so many, which is more than 20 s, the other side is taken for dead. */
const DEAD_AFTER = 5;

/**
 * Notices that the other side is gone. The server pings, which a browser does not show to its pages: who hears nothing
 * asks. Looks are counted, not the time between them, since a browser hardly runs the timers of a page in the
 * background, and a late look must not take a server that was never asked for dead.
 */
export class Silence {
  #quiet = 0;
  #cancel: (() => void) | null = null;

  /**
   * @param ask asks for a sign of life
   * @param onDead called once, after 20 to 25 s without one
   */
  constructor(
    private readonly timing: Timing,
    private readonly ask: () => void,
    private readonly onDead: () => void,
  ) {
    this.#look();
  }

  /** There was a sign of life. */
  heard(): void {
    this.#quiet = 0;
  }

  stop(): void {
    this.#cancel?.();
  }

  #look(): void {
    this.#cancel = this.timing.after(LOOK_EVERY_MS, () => {
      this.#quiet += 1;
      if (this.#quiet >= DEAD_AFTER) {
        this.onDead();
        return;
      }
      if (this.#quiet >= ASK_AFTER) this.ask();
      this.#look();
    });
  }
}
