import { compare, hash } from 'bcrypt';
import { DomainError } from '../kernel/errors.js';

/**
 * Checks that wait for a bcrypt worker, and as many new secrets; beyond it a caller is told to come back rather than the
 * server stalling.
 */
export const MAX_WAITING = 64;
/** bcrypt runs on libuv's pool of four threads: two keep it from starving file and DNS work. */
export const MAX_RUNNING = 2;

/** Compared with where nothing is stored, so that an unknown key and a wrong secret take the same time. */
const DECOY_SECRET = 'no key has this secret';

/** Known callers make keys, strangers have invented ones checked. */
type Purpose = 'create' | 'check';

/** bcrypt off the event loop, with bounded queues. Those who make keys have one of their own, and every second turn. */
export class SecretHasher {
  readonly #waiting: Readonly<Record<Purpose, (() => void)[]>> = { create: [], check: [] };
  #lastTurn: Purpose = 'check';
  #running = 0;
  /** Made at the first need. */
  #decoy: Promise<string> | undefined;

  /** @param cost bcrypt cost, 10 to 14 */
  constructor(private readonly cost: number) {}

  /** Begins to make the decoy ahead of its first use, which would take longer by it. */
  prepare(): void {
    // What fails here is tried again when the decoy is needed, and told then.
    this.#decoyHash().catch(() => undefined);
  }

  /** Hashes a key's secret for storage. @throws DomainError AUTH_BUSY when the queue is full */
  async hash(secret: string): Promise<string> {
    return this.#queued('create', () => hash(secret, this.cost));
  }

  /**
   * Compares in constant time.
   * @param stored null where there is nothing to compare with: takes as long, and never matches
   * @throws DomainError AUTH_BUSY when the queue is full
   */
  async matches(secret: string, stored: string | null): Promise<boolean> {
    return this.#queued('check', async () => {
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

  async #queued<T>(purpose: Purpose, work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_RUNNING) {
      const queue = this.#waiting[purpose];
      if (queue.length >= MAX_WAITING) {
        throw new DomainError('AUTH_BUSY', 'Too many credentials are being checked.', { details: { retry_after: 1 } });
      }
      await new Promise<void>((resolve) => queue.push(resolve));
    } else {
      this.#running += 1;
    }
    try {
      return await work();
    } finally {
      const next = this.#next();
      if (next) next();
      else this.#running -= 1;
    }
  }

  /** Whose turn it is: each purpose's in turn, as long as somebody waits for it. */
  #next(): (() => void) | undefined {
    const { create, check } = this.#waiting;
    const creates = create.length > 0 && (this.#lastTurn === 'check' || check.length === 0);
    this.#lastTurn = creates ? 'create' : 'check';
    return (creates ? create : check).shift();
  }
}
