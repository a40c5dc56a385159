import { DomainError } from './errors.js';

/** Calls and changes under way, which a stop waits for; once it has begun, nothing new comes in. */
export class InFlight {
  #count = 0;
  #draining = false;
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
    if (this.#draining) throw new DomainError('GOING_AWAY', 'The server is stopping.');
  }

  /** The stop begins: from now on {@link requireOpen} refuses. */
  close(): void {
    this.#draining = true;
  }

  /** Resolves when nothing is under way, at the latest after `milliseconds`. @returns how many are still under way */
  async idle(milliseconds: number): Promise<number> {
    if (this.#count === 0) return 0;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      timer = setTimeout(resolve, milliseconds);
    });
    clearTimeout(timer);
    return this.#count;
  }
}
