/** Input that the server has not acknowledged is kept up to here; more has to wait. */
export const MAX_KEPT_BYTES = 256 * 1024;
/** A first allocation; a person's keystrokes never need more. */
const FIRST_CAPACITY = 256;

/** What is to be sent, and the position of its first byte. */
export interface Unsent {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/**
 * What was typed, by position. It is kept until the server has told that it is applied, so that after a refusal or a
 * reconnect exactly what is missing is sent again.
 */
export class InputBuffer {
  /** What is kept lies at `head` to `tail`; grows by doubling, so that a keystroke costs its bytes and no more. */
  #bytes = new Uint8Array(0);
  #head = 0;
  #tail = 0;
  /** Position of the first byte kept. */
  #start = 0;
  /** Position of the first byte that was not sent. */
  #sent = 0;
  /** What the server told last: it had applied everything before it. */
  #told = 0;

  /** Bytes kept. */
  get length(): number {
    return this.#tail - this.#head;
  }

  /** Position of the next byte typed. */
  get end(): number {
    return this.#start + this.length;
  }

  /** Adds what was typed. @returns false when there is no room for it; then nothing is added */
  add(bytes: Uint8Array): boolean {
    if (this.length + bytes.length > MAX_KEPT_BYTES) return false;
    if (this.#tail + bytes.length > this.#bytes.length) this.#makeRoom(bytes.length);
    this.#bytes.set(bytes, this.#tail);
    this.#tail += bytes.length;
    return true;
  }

  /** The next piece of what is to be sent, which counts as sent from here on; null when all is. A view, not a copy. */
  unsent(maxBytes: number): Unsent | null {
    const position = this.#sent;
    if (position === this.end) return null;
    const from = this.#head + (position - this.#start);
    const bytes = this.#bytes.subarray(from, Math.min(from + maxBytes, this.#tail));
    this.#sent += bytes.length;
    return { position, bytes };
  }

  /** The server has applied everything before `position`, which need not be kept. */
  applied(position: number): void {
    if (position < this.#told) return;
    this.#told = position;
    if (position > this.end) this.#restart(position);
    else this.#drop(Math.max(position - this.#start, 0));
  }

  /**
   * The server wants everything from `position` on, again or for the first time.
   * @returns bytes that it cannot be given: it has forgotten who typed them, and whether they were applied
   */
  resume(position: number): number {
    if (position > this.end) {
      this.#restart(position);
      return 0;
    }
    if (position >= this.#start) {
      this.#told = position;
      this.#drop(position - this.#start);
      this.#sent = position;
      return 0;
    }
    if (position >= this.#told) {
      // After giving up, the positions went on past what was never applied. Nothing that is kept was applied either.
      this.#told = position;
      this.#start = position;
      this.#sent = position;
      return 0;
    }
    const lost = this.length;
    this.#restart(position);
    return lost;
  }

  /**
   * Forgets what is kept. How much of what was sent is applied will only be known later: the next byte typed gets a
   * position after all of it, which {@link resume} takes back to where the server is.
   * @returns how many bytes were forgotten
   */
  giveUp(): number {
    const lost = this.length;
    this.#head = this.#tail = 0;
    this.#start = this.#sent;
    return lost;
  }

  #restart(position: number): void {
    this.#head = this.#tail = 0;
    this.#start = position;
    this.#sent = position;
    this.#told = position;
  }

  #drop(count: number): void {
    this.#head += count;
    this.#start += count;
    this.#sent = Math.max(this.#sent, this.#start);
    if (this.#head === this.#tail) this.#head = this.#tail = 0;
  }

  #makeRoom(more: number): void {
    const wanted = this.length + more;
    // At least half is free afterwards, so that moving costs no more than the bytes that come until the next time.
    const size = Math.max(2 * wanted, FIRST_CAPACITY);
    const moved = size > this.#bytes.length ? new Uint8Array(size) : this.#bytes;
    moved.set(this.#bytes.subarray(this.#head, this.#tail));
    this.#tail -= this.#head;
    this.#head = 0;
    this.#bytes = moved;
  }
}
