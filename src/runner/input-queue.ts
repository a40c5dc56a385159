import { writeSync } from 'node:fs';
import { DomainError } from '../kernel/errors.js';
import { errnoOf } from './errno.js';

/** Input a program has not read yet, beside what the kernel holds: what a client may send in two seconds. */
export const MAX_QUEUED_INPUT = 2 * 1024 * 1024;
const FIRST_RETRY_MS = 1;
const LAST_RETRY_MS = 5;

/**
 * Writes input to a PTY without waiting for anyone. The descriptor is non-blocking and written to directly: through
 * libuv's thread pool a keystroke would wait behind whatever else is there.
 */
export class InputQueue {
  /** What waits lies at `start` to `end`; grows by doubling, so that a tiny write costs its bytes and no more. */
  #waiting = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;

  constructor(private readonly fd: number) {}

  /**
   * Writes `data`, now as far as the kernel takes it, the rest as it takes more.
   * @throws DomainError INPUT_FULL when too much is waiting; then nothing of it is written
   */
  write(data: Buffer): void {
    const waiting = this.#end - this.#start;
    if (waiting + data.length > MAX_QUEUED_INPUT) {
      throw new DomainError('INPUT_FULL', 'The program is not reading its input.');
    }
    const written = waiting === 0 ? this.#writeNow(data) : 0;
    if (written === data.length) return;
    this.#append(data.subarray(written));
    this.#retry ??= setTimeout(this.#continue, this.#retryMs);
  }

  /** Forgets what is waiting; the descriptor is about to be closed. */
  close(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#clear();
  }

  #append(data: Buffer): void {
    const waiting = this.#end - this.#start;
    if (this.#end + data.length > this.#waiting.length) {
      // At least half is free afterwards, so that moving costs no more than the bytes that come until the next time.
      const size = 2 * (waiting + data.length);
      const moved = size > this.#waiting.length ? Buffer.allocUnsafeSlow(size) : this.#waiting;
      this.#waiting.copy(moved, 0, this.#start, this.#end);
      this.#waiting = moved;
      this.#start = 0;
      this.#end = waiting;
    }
    data.copy(this.#waiting, this.#end);
    this.#end += data.length;
  }

  #clear(): void {
    this.#waiting = Buffer.alloc(0);
    this.#start = 0;
    this.#end = 0;
  }

  readonly #continue = (): void => {
    this.#retry = undefined;
    const written = this.#writeNow(this.#waiting.subarray(this.#start, this.#end));
    this.#start += written;
    if (this.#start === this.#end) {
      this.#clear();
      return;
    }
    this.#retryMs = written > 0 ? FIRST_RETRY_MS : Math.min(this.#retryMs + 1, LAST_RETRY_MS);
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
