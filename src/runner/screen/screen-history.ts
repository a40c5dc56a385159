import type { Ring } from '../ring.js';
import type { RenderJob, Screen, SizeChange } from './render.js';
import type { ScreenRenderer } from './renderer.js';

/** A client is given up to so much output after an older screen, rather than a newer one. */
const FRESH_BYTES = 32 * 1024;
/** How long a client waits for a screen when many are made; then it is given the output. */
const PATIENCE_MS = 2000;
/** Questions of a program to its terminal: attributes, cursor, modes, colours, size, settings. */
const QUERY =
  // eslint-disable-next-line no-control-regex -- escape sequences begin with ESC
  /\x05|\x1b(?:Z|\[[>=?]?[\d;]*[cnt]|\[\??[\d;]*\$p|\[>[\d;]*q|P[+$]q|\](?:4|5|1\d|52);[^\x07\x1b]*\?)/;
/** Most output that is gone through for one screen; of more than that only the end. */
const MAX_REPLAY = 2 * 1024 * 1024;
/** How much of the end: a thousand lines and more. */
const TAIL_BYTES = 256 * 1024;
/** Sizes since the last screen that are remembered; of more, the last ones. */
const MAX_RESIZES = 64;
/** Between two screens made in advance of a session that goes on writing. */
const ADVANCE_EVERY_MS = 1000;
/** The same when it writes too fast to be followed: then it is done for the modes alone. */
const HURRIED_EVERY_MS = 10_000;
/** After the emulator failed on its output, a session has no screens for so long. */
const FAILED_MS = 60_000;

/**
 * The screens of one session. One is made when a client needs it, from the last one and the output since then. So that
 * this output is never more than is retained, one is also made in advance, after every mebibyte, when the session falls
 * quiet or the last one is about to roll out of the ring. A flood is not followed: its end alone is gone through.
 */
export class ScreenHistory {
  #last: Screen;
  #resizes: SizeChange[] = [];
  #rendering: Promise<Screen | null> | undefined;
  #seen = 0;
  #advancedAt = -Infinity;
  #failedAt = -Infinity;

  /** @param now monotonic, milliseconds */
  constructor(
    private readonly ring: Ring,
    size: { readonly cols: number; readonly rows: number },
    private readonly renderer: ScreenRenderer,
    private readonly now: () => number,
  ) {
    this.#last = { offset: 0, cols: size.cols, rows: size.rows, data: new Uint8Array() };
  }

  /** The offset from which on a screen should be made in advance. */
  get dueAt(): number {
    return this.#last.offset + this.#stride;
  }

  /** The terminal has another size from here on. */
  resized(cols: number, rows: number): void {
    const offset = this.ring.end;
    if (this.#resizes.at(-1)?.offset === offset) this.#resizes.pop();
    this.#resizes.push({ offset, cols, rows });
    if (this.#resizes.length > MAX_RESIZES) this.#resizes.shift();
  }

  /** A screen at hand from which a client can go on: the retained output since then is little. Null when there is none. */
  get recent(): Screen | null {
    if (this.ring.end === 0) return this.#last;
    const { offset } = this.#last;
    const length = this.ring.end - offset;
    if (offset < this.ring.start || length > FRESH_BYTES || this.#resizes.length > 0) return null;
    // What the program once asked its terminal, a new one would answer again, into whatever runs now.
    return QUERY.test(this.ring.read(offset, length).toString('latin1')) ? null : this.#last;
  }

  /** Memory that the last screen takes. */
  get allocated(): number {
    return this.#last.data.length;
  }

  /**
   * Makes a screen of what has been written until now; null when that cannot be had, or not soon enough.
   * @param urgent whether a client waits for it
   */
  async make(urgent: boolean): Promise<Screen | null> {
    const made = this.#begin(urgent);
    if (!urgent) return made;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS, null);
    });
    return Promise.race([made, late]).finally(() => {
      clearTimeout(timer);
    });
  }

  /** Makes a screen of all that has been written when this is called; null when that cannot be had. */
  async makeNow(): Promise<Screen | null> {
    // One that is being made for somebody else may lack the end.
    await this.#rendering;
    return this.#begin(false);
  }

  #begin(urgent: boolean): Promise<Screen | null> {
    this.#rendering ??= this.#make(urgent).finally(() => {
      this.#rendering = undefined;
    });
    return this.#rendering;
  }

  /**
   * Looks whether to make a screen in advance; called some times a second while one is due.
   * @returns true when there is nothing more to look for
   */
  advance(): boolean {
    const quiet = this.ring.end === this.#seen;
    this.#seen = this.ring.end;
    if (this.#rendering !== undefined) return false;
    if (this.ring.end < this.dueAt) return true;
    if (quiet || this.now() - this.#advancedAt >= this.#patience) {
      this.#advancedAt = this.now();
      void this.#begin(false);
    }
    return quiet;
  }

  get #stride(): number {
    return Math.min(1024 * 1024, this.ring.limit / 4);
  }

  /** How long a screen can wait while the session goes on writing. */
  get #patience(): number {
    const rollsIn = this.#last.offset - this.ring.start;
    if (rollsIn < 0) return HURRIED_EVERY_MS;
    return rollsIn < this.#stride ? ADVANCE_EVERY_MS : Infinity;
  }

  async #make(urgent: boolean): Promise<Screen | null> {
    if (this.now() - this.#failedAt < FAILED_MS) return null;
    try {
      let included: readonly SizeChange[] = [];
      const screen = await this.renderer.render(() => {
        const job = this.#job();
        included = job.resizes;
        return job;
      }, urgent);
      this.#last = screen;
      this.#resizes = this.#resizes.filter((change) => !included.includes(change));
      return screen;
    } catch {
      this.#failedAt = this.now();
      return null;
    }
  }

  #job(): RenderJob {
    const { start, end } = this.ring;
    const base = this.#last;
    const resizes = [...this.#resizes];
    if (base.offset >= start && end - base.offset <= MAX_REPLAY) {
      return {
        base,
        from: base.offset,
        output: this.ring.read(base.offset, end - base.offset),
        skipped: null,
        resizes,
      };
    }
    const from = Math.max(start, end - TAIL_BYTES);
    const known = Math.max(start, base.offset, from - MAX_REPLAY);
    return {
      ...{ base, from, resizes },
      output: this.ring.read(from, end - from),
      skipped: this.ring.read(known, from - known),
    };
  }
}
