import { DomainError } from './errors.js';

/** Calls and changes under way, which a stop waits for; once it has begun, nothing new comes in. */
export class InFlight {
  #count = 0;
  #draining = false;
  #shut = false;
  #onIdle: (() => void) | undefined;

  /** Has the stop begun? */
  get draining(): boolean {
    return this.#draining;
  }

  /** One more begins. @returns how it ends; called again it does nothing */
  begin(): () => void {
    this.#count += 1;
    let under = true;
    return () => {
      if (!under) return;
      under = false;
      this.#count -= 1;
      if (this.#count === 0) this.#onIdle?.();
    };
  }

  /** @throws DomainError GOING_AWAY once the stop has begun */
  requireOpen(): void {
    if (this.#draining) throw stopping();
  }

  /**
   * A change begins, perhaps of a call whose caller is gone already.
   * @throws DomainError GOING_AWAY when the stop waits no more
   */
  beginChange(): () => void {
    if (this.#shut) throw stopping();
    return this.begin();
  }

  /** The stop begins: from now on {@link requireOpen} refuses. */
  close(): void {
    this.#draining = true;
  }

  /**
   * Waits until nothing is under way, at most so many milliseconds; no change begins afterwards.
   * @returns whether nothing is
   */
  async idle(milliseconds: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    if (this.#count > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        timer = setTimeout(resolve, milliseconds);
      });
    }
    clearTimeout(timer);
    this.#shut = true;
    return this.#count === 0;
  }
}

const stopping = (): DomainError => new DomainError('GOING_AWAY', 'The server is stopping.');
