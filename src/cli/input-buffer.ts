/** Input that the server has not acknowledged is kept up to here; more has to wait. */
export const MAX_KEPT = 256 * 1024;

/**
 * What was typed, by position. It is kept until the server has told that it is applied, so that after a refusal or a
 * reconnect exactly what is missing is sent again.
 */
export class InputBuffer {
  #bytes: Buffer = Buffer.alloc(0);
  /** Position of the first byte kept. */
  #start = 0;
  /** Position of the first byte that was not sent. */
  #sent = 0;

  /** Position of the next byte typed. */
  get end(): number {
    return this.#start + this.#bytes.length;
  }

  /** Adds what was typed. @returns false when there is no room for it; then nothing is added */
  add(bytes: Buffer): boolean {
    if (this.#bytes.length + bytes.length > MAX_KEPT) return false;
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    return true;
  }

  /** What is to be sent, which counts as sent from here on. */
  unsent(): { readonly position: number; readonly bytes: Buffer } {
    const position = this.#sent;
    this.#sent = this.end;
    return { position, bytes: this.#bytes.subarray(position - this.#start) };
  }

  /** The server has applied everything before `position`, which need not be kept. */
  applied(position: number): void {
    const drop = Math.min(Math.max(position - this.#start, 0), this.#bytes.length);
    this.#bytes = this.#bytes.subarray(drop);
    this.#start += drop;
    this.#sent = Math.max(this.#sent, this.#start);
  }

  /** The server wants everything from `position` on (again); what it cannot be given any more is forgotten. */
  resume(position: number): void {
    this.applied(position);
    if (position === this.#start) this.#sent = position;
    else this.restart(position);
  }

  /** Forgets what is kept; the next byte typed is at `position`. */
  restart(position: number): void {
    this.#bytes = Buffer.alloc(0);
    this.#start = position;
    this.#sent = position;
  }
}
