import type { Ring } from '../ring.js';
import { ScreenRenderer } from './renderer.js';
import { ScreenHistory } from './screen-history.js';

const LOOK_EVERY_MS = 100;

/** The screens of all sessions of a runner: one thread makes them, and one timer looks which to make in advance. */
export class Screens {
  readonly #renderer = new ScreenRenderer();
  readonly #due = new Set<ScreenHistory>();
  #timer: NodeJS.Timeout | undefined;

  /** The screens of a session that begins with this size. */
  follow(ring: Ring, { cols, rows }: { readonly cols: number; readonly rows: number }): ScreenHistory {
    this.#renderer.warmUp();
    return new ScreenHistory(ring, { cols, rows }, this.#renderer, () => performance.now());
  }

  /** So much was written that a screen should be made in advance. */
  due(history: ScreenHistory): void {
    this.#due.add(history);
    this.#timer ??= setInterval(this.#look, LOOK_EVERY_MS).unref();
  }

  readonly #look = (): void => {
    for (const history of this.#due) if (history.advance()) this.#due.delete(history);
    if (this.#due.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  };
}
