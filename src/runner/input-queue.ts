import { writeSync } from 'node:fs';
import { DomainError } from '../kernel/errors.js';
import { errnoOf } from './errno.js';

/** Input a program has not read yet, beside what the kernel holds. */
export const MAX_QUEUED_INPUT = 1024 * 1024;
const FIRST_RETRY_MS = 1;
const LAST_RETRY_MS = 5;

/**
 * Writes input to a PTY without waiting for anyone. The descriptor is non-blocking and written to directly: through
 * libuv's thread pool a keystroke would wait behind whatever else is there.
 */
export class InputQueue {
  #waiting: Buffer[] = [];
  #bytes = 0;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;

  constructor(private readonly fd: number) {}

  /**
   * Writes `data`, now as far as the kernel takes it, the rest as it takes more.
   * @throws DomainError INPUT_FULL when too much is waiting; then nothing of it is written
   */
  write(data: Buffer): void {
    if (this.#bytes + data.length > MAX_QUEUED_INPUT) {
      throw new DomainError('INPUT_FULL', 'The program is not reading its input.');
    }
    const written = this.#waiting.length === 0 ? this.#writeNow(data) : 0;
    if (written === data.length) return;
    this.#waiting.push(Buffer.from(data.subarray(written))); // a copy: the caller's buffer may be reused
    this.#bytes += data.length - written;
    this.#retry ??= setTimeout(this.#continue, this.#retryMs);
  }

  /** Forgets what is waiting; the descriptor is about to be closed. */
  close(): void {
    clearTimeout(this.#retry);
    this.#waiting = [];
    this.#bytes = 0;
  }

  readonly #continue = (): void => {
    this.#retry = undefined;
    const before = this.#bytes;
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      const written = this.#writeNow(head);
      this.#bytes -= written;
      if (written < head.length) {
        this.#waiting[0] = head.subarray(written);
        break;
      }
      this.#waiting.shift();
    }
    if (this.#waiting.length === 0) return;
    this.#retryMs = this.#bytes < before ? FIRST_RETRY_MS : Math.min(this.#retryMs + 1, LAST_RETRY_MS);
    this.#retry = setTimeout(this.#continue, this.#retryMs);
  };

  /** How much the kernel took. A terminal that hung up takes everything: there is nobody to read it. */
  #writeNow(data: Buffer): number {
    let written = 0;
    while (written < data.length) {
      try {
        written += writeSync(this.fd, data, written);
      } catch (error) {
        return errnoOf(error) === 'EAGAIN' ? written : data.length;
      }
    }
    return written;
  }
}
