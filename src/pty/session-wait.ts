import type { LiveStream } from '../authorization/live-streams.js';
import { callAt } from '../kernel/deadline.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { OpenOnSession } from './decide-anew.js';

/** One call that waits for the end of a session. */
export class SessionWait implements LiveStream, OpenOnSession {
  readonly #over = Promise.withResolvers<undefined>();

  readonly #expire = (): void => {
    this.end(new DomainError('SESSION_EXPIRED', 'The credential of this call has expired.'));
  };

  /** @param onRecheck decides whether it may go on */
  constructor(
    readonly context: CallerContext,
    public resource: OpenOnSession['resource'],
    private readonly onRecheck: (wait: SessionWait) => void,
  ) {
    // It may be over before anybody waits for that.
    this.#over.promise.catch(() => undefined);
  }

  /**
   * Waits: until the session ended, the time is up, or the caller is gone.
   * @throws DomainError when the caller may not wait any more, or the server stops
   */
  async until(seconds: number, gone: AbortSignal): Promise<void> {
    const done = (): void => {
      this.wake();
    };
    const timer = setTimeout(done, seconds * 1000).unref();
    const { expiresAt } = this.context.principal;
    const cancelExpiry = expiresAt === null ? undefined : callAt(expiresAt, this.#expire);
    gone.addEventListener('abort', done, { once: true });
    if (gone.aborted) done();
    try {
      await this.#over.promise;
    } finally {
      clearTimeout(timer);
      cancelExpiry?.();
      gone.removeEventListener('abort', done);
    }
  }

  /** There is something to look at. */
  wake(): void {
    this.#over.resolve(undefined);
  }

  recheck(): void {
    this.onRecheck(this);
  }

  end(error: DomainError): void {
    this.#over.reject(error);
  }
}
