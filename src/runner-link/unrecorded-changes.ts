import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';

/**
 * What the runner told of its sessions and is not on record yet: the latest of each, so that it is never more than there
 * are sessions, however long it cannot be recorded.
 */
export class UnrecordedChanges {
  readonly #latest = new Map<string, RunnerSession__Output>();

  get empty(): boolean {
    return this.#latest.size === 0;
  }

  add(session: RunnerSession__Output): void {
    this.#latest.set(session.id ?? '', session);
  }

  /**
   * Records all that is there, one after the other. What fails stays, and keeps nothing else from being recorded.
   * @throws what the last of them failed with
   */
  async record(record: (session: RunnerSession__Output) => Promise<void>): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (const [id, session] of [...this.#latest]) {
      try {
        await record(session);
        if (this.#latest.get(id) === session) this.#latest.delete(id);
      } catch (error) {
        failure = { error };
      }
    }
    if (failure) throw failure.error;
  }
}
