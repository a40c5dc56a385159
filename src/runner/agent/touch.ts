import type { Session } from '../session.js';
import { SETTLED_MS } from './screen-watch.js';

/** Keys are not believed to have led to nothing before so long: the program has to read them first. */
export const UNBELIEVED_MS = 5000;

/** Whether somebody has typed into a terminal since something was asked there, which may have been the answer. */
export class Touch {
  #typed: number;
  #end: number;
  #since: number | undefined;

  constructor(private readonly session: Session) {
    this.#typed = session.typed;
    this.#end = session.ring.end;
  }

  get isTouched(): boolean {
    return this.session.typed !== this.#typed;
  }

  /**
   * Called some times a second.
   * @param busy the output goes on
   * @param elapsed monotonic, milliseconds
   * @returns whether what is asked is to be asked anew: the program has shown something since, and that is all there is to come
   */
  look(busy: boolean, elapsed: number): boolean {
    if (!this.isTouched) return false;
    this.#since ??= elapsed;
    const passed = elapsed - this.#since;
    if (this.session.ring.end !== this.#end) return passed >= (busy ? UNBELIEVED_MS : SETTLED_MS);
    if (passed >= UNBELIEVED_MS) {
      this.#typed = this.session.typed;
      this.#since = undefined;
    }
    return false;
  }
}
