import { DomainError } from '../kernel/errors.js';

/** Writers remembered per session; the one longest silent is forgotten first. */
export const MAX_WRITERS = 64;

/** Input positions of the writers of a session, so that what is sent again after a reconnect is typed once. */
export class Writers {
  /** In the order of use, the least recent first. */
  readonly #next = new Map<string, number>();

  /** Position of the next byte wanted from a writer. */
  next(writer: string): number {
    return this.#next.get(writer) ?? 0;
  }

  /**
   * The part of a frame that was not applied yet.
   * @throws DomainError INPUT_GAP when bytes before the frame are missing
   */
  fresh(writer: string, offset: number, data: Buffer): Buffer {
    const next = this.next(writer);
    if (offset > next) throw new DomainError('INPUT_GAP', `Input is missing: the next byte wanted is ${next}.`);
    return data.subarray(next - offset);
  }

  /** Everything before `next` has been applied. */
  advance(writer: string, next: number): void {
    this.#next.delete(writer);
    this.#next.set(writer, next);
    const [oldest] = this.#next.keys();
    if (this.#next.size > MAX_WRITERS && oldest !== undefined) this.#next.delete(oldest);
  }
}
