/** The controller may be so far behind before the program has to wait, and must be so close before it goes on. */
const PAUSE_BYTES = 1024 * 1024;
const RESUME_BYTES = 256 * 1024;
/** One read of a PTY at most (pty.ts). */
const RESERVE_BYTES = 128 * 1024;

export interface FlowSource {
  pause(): void;
  resume(): void;
}

/** The ring, which the controller must never fall out of. */
export interface FlowRoom {
  /** Bytes that it holds for sure. */
  readonly capacity: number;
  /** Makes that as many, if it can. */
  reserve(bytes: number): void;
}

/** Of the ring, so much may lie before the controller when the program is stopped, and when it goes on. */
const PAUSE_SHARE = 4;
const RESUME_SHARE = 16;

/** Decides when the PTY is read. */
export class FlowControl {
  #lagging = false;
  #paused = false;
  #held = false;
  #hold: NodeJS.Timeout | undefined;

  /** @param onLagging told when the program begins and ceases to wait for the controller */
  constructor(
    private readonly source: FlowSource,
    private readonly room: FlowRoom,
    private readonly onLagging: (lagging: boolean) => void,
  ) {}

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
    // A ring that is small because there was little output yet is no reason to wait; one that cannot grow is.
    if (lag > 0) this.room.reserve(lag * PAUSE_SHARE);
    const { capacity } = this.room;
    const pauseAt = Math.min(PAUSE_BYTES, capacity / PAUSE_SHARE);
    const resumeAt = Math.min(RESUME_BYTES, capacity / RESUME_SHARE);
    const lagging = lag > (this.#lagging ? resumeAt : pauseAt);
    if (lagging !== this.#lagging) {
      this.#lagging = lagging;
      this.onLagging(lagging);
    }
    // Less room than a single read brings, and the ring may roll.
    const pause = this.#lagging || (this.#held && free < Math.min(RESERVE_BYTES, capacity / PAUSE_SHARE));
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.source.pause();
    else this.source.resume();
  }
}
