import { hash, randomBytes } from 'node:crypto';
import { type Rate, take, type Taken } from '../kernel/gcra.js';
import { type BucketName, BucketTable } from './bucket-table.js';
import type { SharedTaken } from './redis-buckets.js';

/** What buckets are shared by, where they are. */
export interface SharedBuckets {
  readonly usable: boolean;
  take(name: string, rate: Rate, cost?: 1 | -1): Promise<SharedTaken>;
}

/**
 * The buckets of all limits, by name. With Redis they are shared by all gateways, and what it says is remembered here too: a
 * bucket that is known to be empty is not asked for again, and when Redis goes away counting goes on from there.
 */
export class Buckets {
  readonly #table: BucketTable;
  /** So that nobody outside can tell which names share a place. */
  readonly #salt = randomBytes(16).toString('base64url');

  /**
   * @param shared null: this gateway counts alone
   * @param now monotonic milliseconds, greater than 0
   */
  constructor(
    private readonly shared: SharedBuckets | null = null,
    private readonly now: () => number = () => performance.now(),
    table = new BucketTable(),
  ) {
    this.#table = table;
  }

  /** Takes one. Answers at once where Redis is not asked. */
  take(name: string, rate: Rate): Taken | Promise<Taken> {
    const { shared } = this;
    if (shared?.usable !== true) return this.takeHere(name, rate);
    const here = this.look(name, rate);
    return here.allowed ? this.#takeShared(shared, name, rate) : here;
  }

  /** Takes one from a bucket of this gateway alone. */
  takeHere(name: string, rate: Rate): Taken {
    const [at, now] = [this.#nameOf(name), this.now()];
    const taken = take(rate, this.#table.get(at), now);
    if (taken.allowed) this.#table.set(at, taken.fullAt);
    return taken;
  }

  /** Gives back one that was taken, as if it had not been. */
  giveBack(name: string, rate: Rate): void {
    const [at, now] = [this.#nameOf(name), this.now()];
    this.#table.set(at, take(rate, this.#table.get(at), now, -1).fullAt);
    // Where it cannot be given back it is there again by itself, a little later.
    if (this.shared?.usable === true) void this.shared.take(name, rate, -1).catch(() => undefined);
  }

  /** Whether one could be taken, and what there is without it, as far as this gateway knows; nothing is taken. */
  look(name: string, rate: Rate): Taken {
    const [fullAt, now] = [this.#table.get(this.#nameOf(name)), this.now()];
    const one = take(rate, fullAt, now);
    return { ...take(rate, fullAt, now, 0), allowed: one.allowed, retryMs: one.retryMs };
  }

  async #takeShared(shared: SharedBuckets, name: string, rate: Rate): Promise<Taken> {
    let answer: SharedTaken;
    try {
      answer = await shared.take(name, rate);
    } catch {
      return this.takeHere(name, rate);
    }
    const now = this.now();
    const fullAt = now + answer.resetMs;
    this.#table.set(this.#nameOf(name), fullAt);
    const left = take(rate, fullAt, now, 0);
    // What was refused there is refused, though its bucket fills while the answer comes.
    return answer.allowed ? left : { ...left, allowed: false, retryMs: Math.max(1, take(rate, fullAt, now).retryMs) };
  }

  #nameOf(name: string): BucketName {
    const digest = hash('sha256', this.#salt + name, 'buffer');
    return { high: digest.readUInt32LE(0), low: digest.readUInt32LE(4) };
  }
}
