import { DomainError } from '../../kernel/errors.js';

/** Calls that wait for one repository. */
export const MAX_WAITING = 100;

/** One at a time for each key, in the order of their coming. */
export class Locks {
  readonly #queues = new Map<string, { last: Promise<unknown>; length: number }>();

  /**
   * Runs when everybody before has ended.
   * @throws DomainError WORKTREE_LIMIT when too many wait
   */
  async hold<Result>(key: string, run: () => Promise<Result>): Promise<Result> {
    const queue = this.#queues.get(key) ?? { last: Promise.resolve(), length: 0 };
    if (queue.length > MAX_WAITING) {
      throw new DomainError('WORKTREE_LIMIT', 'Too many calls wait for this repository.');
    }
    const turn = queue.last.then(run);
    queue.last = turn.catch(() => undefined);
    queue.length += 1;
    this.#queues.set(key, queue);
    try {
      return await turn;
    } finally {
      queue.length -= 1;
      if (queue.length === 0) this.#queues.delete(key);
    }
  }
}
