import { compare, hash } from 'bcrypt';
import { DomainError } from '../kernel/errors.js';

/** Checks that wait for a bcrypt worker; beyond it a caller is told to come back rather than the server stalling. */
export const MAX_WAITING = 64;
/** bcrypt runs on libuv's pool of four threads: two keep it from starving file and DNS work. */
export const MAX_RUNNING = 2;

/** Compared with where nothing is stored, so that an unknown key and a wrong secret take the same time. */
const DECOY_SECRET = 'no key has this secret';

/** bcrypt off the event loop, with a bounded queue. */
export class SecretHasher {
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  /** Made at the first need. */
  #decoy: Promise<string> | undefined;

  /** @param cost bcrypt cost, 10 to 14 */
  constructor(private readonly cost: number) {}

  /** Hashes a key's secret for storage. */
  async hash(secret: string): Promise<string> {
    return this.#queued(() => hash(secret, this.cost));
  }

  /**
   * Compares in constant time.
   * @param stored null where there is nothing to compare with: takes as long, and never matches
   * @throws DomainError AUTH_BUSY when the queue is full
   */
  async matches(secret: string, stored: string | null): Promise<boolean> {
    return this.#queued(async () => {
      const matches = await compare(secret, stored ?? (await this.#decoyHash()));
      return matches && stored !== null;
    });
  }

  #decoyHash(): Promise<string> {
    this.#decoy ??= hash(DECOY_SECRET, this.cost).catch((error: unknown) => {
      this.#decoy = undefined;
      throw error;
    });
    return this.#decoy;
  }

  async #queued<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_RUNNING) {
      if (this.#waiting.length >= MAX_WAITING) {
        throw new DomainError('AUTH_BUSY', 'Too many credentials are being checked.', { details: { retry_after: 1 } });
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running += 1;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
