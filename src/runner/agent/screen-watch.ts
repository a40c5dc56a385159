import type { Session } from '../session.js';
import type { Patterns } from './patterns.js';
import { dialogOn, questionOn } from './screen-question.js';
import { EMPTY_VIEW, type ScreenView, viewOf } from './screen-text.js';

/** Without output for so long the screen is taken for finished, and looked at. */
export const SETTLED_MS = 400;
/** One that is never finished is looked at as often as this: a screen costs the thread that makes it some milliseconds. */
const BUSY_LOOK_MS = 3000;
/** A screen made for somebody else a moment ago may lack the end of the output: so often it is asked for again. */
const MAX_TRIES = 3;
/** A screen ends where the output can be cut, which is so much before its end at most. */
const CUT_BYTES = 1024;

/** What tells the meaning of a screen. */
export interface ScreenSigns {
  readonly ready: Patterns;
  readonly waiting: Patterns;
  readonly login: Patterns;
}

/** A screen, and which of the signs are on it. */
export interface MarkedView extends ScreenView {
  readonly ready: boolean;
  readonly waiting: boolean;
  /** What is asked; empty unless it waits. */
  readonly question: string;
  /** The lines that it asks with; none unless it waits. */
  readonly dialog: readonly string[];
  readonly login: boolean;
}

/** What a session's screen shows, and since when nothing has changed on it. */
export interface Sight {
  readonly view: MarkedView;
  /** Output went on after it. */
  readonly busy: boolean;
  /** Milliseconds since the last output. */
  readonly quietMs: number;
}

/** Looks at the screen of one session, only after there was output, and not while that goes on. Costs a session nothing. */
export class ScreenWatch {
  /** Offset of the output seen, and when it was. */
  #end = 0;
  #changedAt: number;
  /** What was looked at, and when. */
  #lookedEnd = -1;
  #lookedAt = -Infinity;
  #tries = 0;
  #view: MarkedView | undefined;
  #looking = false;

  constructor(
    private readonly session: Session,
    private readonly signs: ScreenSigns,
    now: number,
  ) {
    this.#changedAt = now;
  }

  /**
   * Called some times a second.
   * @param now monotonic, milliseconds
   * @returns what is to be seen, undefined before there is anything
   */
  look(now: number): Sight | undefined {
    const { end } = this.session.ring;
    if (end !== this.#end) {
      this.#end = end;
      this.#changedAt = now;
      this.#tries = 0;
    }
    const quietMs = now - this.#changedAt;
    const due = quietMs >= SETTLED_MS || now - this.#lookedAt >= BUSY_LOOK_MS;
    if (end > 0 && end !== this.#lookedEnd && due && !this.#looking) {
      this.#lookedAt = now;
      // Whatever goes wrong with a stranger's screen, there is another look.
      this.refresh().catch(() => undefined);
    }
    return this.#view && { view: this.#view, busy: this.#lookedEnd !== end, quietMs };
  }

  /** What was seen at the last look. */
  get view(): MarkedView | undefined {
    return this.#view;
  }

  /** Looks now; resolves to what is known afterwards. */
  async refresh(): Promise<MarkedView | undefined> {
    const { end } = this.session.ring;
    this.#looking = true;
    this.#tries += 1;
    try {
      const screen = await this.session.screens.make(false);
      // Without a screen, quiet is all there is to go by.
      if (screen === null) this.#view ??= this.#mark(EMPTY_VIEW);
      else this.#view = this.#mark(viewOf(screen.data, screen.rows, this.#rest(screen.offset)));
      const whole = screen === null || screen.offset + CUT_BYTES >= end || this.#tries >= MAX_TRIES;
      if (whole) this.#lookedEnd = end;
      return this.#view;
    } finally {
      this.#looking = false;
    }
  }

  /**
   * Looks at all that was written until now.
   * @returns undefined when there is no screen to be had, or it does not hold still
   */
  async current(): Promise<MarkedView | undefined> {
    const { ring, screens } = this.session;
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const { end } = ring;
      const screen = await screens.makeNow();
      if (screen === null) return undefined;
      if (ring.end !== end || screen.offset + CUT_BYTES < end) continue;
      this.#lookedEnd = end;
      this.#view = this.#mark(viewOf(screen.data, screen.rows, this.#rest(screen.offset)));
      return this.#view;
    }
    return undefined;
  }

  /** Text after the last place where the output can be cut is not on the screen that was made. */
  #rest(offset: number): Buffer {
    const { ring } = this.session;
    return ring.read(Math.max(offset, ring.start), CUT_BYTES);
  }

  #mark(view: ScreenView): MarkedView {
    const { ready, waiting, login } = this.signs;
    const { text } = view;
    const question = questionOn(text, waiting);
    const asks = { waiting: question !== undefined, question: question ?? '', dialog: dialogOn(text, waiting) };
    return { ...view, ...asks, ready: ready.match(text), login: login.match(text) };
  }
}
