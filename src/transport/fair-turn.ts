/** What one connection may have read and handled before everybody else has a turn. */
const MAX_BYTES = 64 * 1024;
const MAX_MESSAGES = 32;
const MAX_MS = 2;

/**
 * One connection's share of a turn of the event loop. Handling in microtasks alone would never let the loop go on: as long
 * as a client sends faster than its messages are handled, nobody else would be served.
 */
export class FairTurn {
  #read = 0;
  #handled = 0;
  #since = 0;
  #next: Promise<void> | null = null;

  /**
   * Counts one message.
   * @returns null while the share lasts, so that a single message never waits; else the beginning of the next turn
   */
  spend(): Promise<void> | null {
    const next = this.next();
    this.#handled += 1;
    return this.#handled < MAX_MESSAGES && performance.now() - this.#since < MAX_MS ? null : next;
  }

  /** Counts what was read. @returns true when this turn should read no more */
  read(bytes: number): boolean {
    void this.next();
    this.#read += bytes;
    return this.#read >= MAX_BYTES;
  }

  /** Resolves in the next turn, after the sockets of this one were served. */
  next(): Promise<void> {
    if (this.#next === null) {
      this.#since = performance.now();
      this.#next = new Promise((resolve) => {
        setImmediate(() => {
          this.#next = null;
          this.#handled = 0;
          this.#read = 0;
          resolve();
        });
      });
    }
    return this.#next;
  }
}
