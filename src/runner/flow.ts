/** The controller may be so far behind before the program has to wait, and must be so close before it goes on. */
const PAUSE_BYTES = 1024 * 1024;
const RESUME_BYTES = 256 * 1024;
/** One read of a PTY at most (pty.ts). */
const RESERVE_BYTES = 128 * 1024;

export interface FlowSource {
  pause(): void;
  resume(): void;
}

/** Decides when the PTY is read. */
export class FlowControl {
  readonly #pauseAt: number;
  readonly #resumeAt: number;
  /** More than a single read brings: paused with less room, the ring may roll. */
  readonly #reserve: number;
  #lagging = false;
  #paused = false;
  #held = false;
  #hold: NodeJS.Timeout | undefined;

  /**
   * @param ringBytes size of the ring: the controller must never fall out of it
   * @param onLagging told when the program begins and ceases to wait for the controller
   */
  constructor(
    private readonly source: FlowSource,
    ringBytes: number,
    private readonly onLagging: (lagging: boolean) => void,
  ) {
    this.#reserve = Math.min(RESERVE_BYTES, ringBytes / 4);
    this.#pauseAt = Math.min(PAUSE_BYTES, ringBytes / 4);
    this.#resumeAt = Math.min(RESUME_BYTES, ringBytes / 16);
  }

  /**
   * For a short time the program waits rather than roll a full ring: a session whose first client is still on its way
   * keeps its first output, and a client that is just being given a full ring does not fall out of it at once.
   */
  hold(milliseconds: number, onRelease: () => void): void {
    this.#held = true;
    clearTimeout(this.#hold);
    this.#hold = setTimeout(() => {
      this.release();
      onRelease();
    }, milliseconds);
  }

  /** Ends {@link hold} early. */
  release(): void {
    clearTimeout(this.#hold);
    this.#held = false;
  }

  /**
   * Looks again, after anything changed.
   * @param lag bytes the controller is behind, 0 without one
   * @param free bytes until the ring rolls
   */
  update(lag: number, free: number): void {
    const lagging = lag > (this.#lagging ? this.#resumeAt : this.#pauseAt);
    if (lagging !== this.#lagging) {
      this.#lagging = lagging;
      this.onLagging(lagging);
    }
    const pause = this.#lagging || (this.#held && free < this.#reserve);
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.source.pause();
    else this.source.resume();
  }
}
