import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { DomainError } from '../kernel/errors.js';

/** Keys whose use is counted; the one that was not used for longest is forgotten, and begins anew. */
const MAX_COUNTED = 10_000;
const MINUTE_MS = 60_000;

/**
 * The limits that keys have of their own, on this gateway: a bucket of one minute's uses that fills evenly (GCRA, the
 * generic cell rate algorithm of ITU-T I.371, with a burst of one minute).
 */
@Injectable()
export class KeyRateLimits {
  /** Key id → when its bucket is full again, monotonic milliseconds. */
  readonly #fullAt = new LRUCache<string, number>({ max: MAX_COUNTED });

  /**
   * Counts one use.
   * @param now monotonic, milliseconds
   * @throws DomainError RATE_LIMIT_EXCEEDED with the seconds until the next use
   */
  take(id: string, perMinute: number, now = performance.now()): void {
    const each = MINUTE_MS / perMinute;
    const fullAt = Math.max(this.#fullAt.get(id) ?? now, now) + each;
    const early = fullAt - now - MINUTE_MS;
    // A millionth of a millisecond: the sum of many steps is not exact.
    if (early > 1e-6) {
      throw new DomainError('RATE_LIMIT_EXCEEDED', 'This API key is used more often than it may be.', {
        details: { retry_after: Math.ceil(early / 1000) },
      });
    }
    this.#fullAt.set(id, fullAt);
  }
}
