/** Answers that may wait for a client to read them; beyond it the client is not read either. */
const MAX_BYTES = 256 * 1024;
/** What an answer costs in memory beside its own bytes: an empty one is not free. */
const OVERHEAD_BYTES = 256;
/** How long they may go on waiting. */
const STUCK_MS = 10_000;

/**
 * The answers on one connection that its client has not taken yet. Terminal output does not count: a client that lags
 * behind in output must still be able to type Ctrl-C, which is not answered.
 */
export class UnreadAnswers {
  #bytes = 0;
  #release: (() => void) | null = null;
  #drained: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** @param onStuck called when a client has had too many answers waiting for too long */
  constructor(private readonly onStuck: () => void) {}

  /** Counts an answer. @returns what to call once the kernel has taken it */
  add(bytes: number): () => void {
    const cost = bytes + OVERHEAD_BYTES;
    this.#bytes += cost;
    return () => {
      this.#bytes -= cost;
      if (this.#bytes < MAX_BYTES / 2) this.close();
    };
  }

  /** @returns null while there is room for more, else a promise that there will be */
  room(): Promise<void> | null {
    if (this.#bytes < MAX_BYTES) return null;
    this.#timer ??= setTimeout(this.onStuck, STUCK_MS);
    this.#drained ??= new Promise((resolve) => {
      this.#release = resolve;
    });
    return this.#drained;
  }

  /** Lets go of who waits for room: there is some, or the connection is gone. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#release?.();
    this.#release = null;
    this.#drained = null;
  }
}
