import { Injectable } from '@nestjs/common';
import type { ThrottlerStorage } from '@nestjs/throttler';
import { rateOf, type Taken } from '../kernel/gcra.js';
import { Buckets } from './buckets.js';

/** What a throttler is told, with the milliseconds that its own record has no room for. */
export interface BucketRecord extends Pick<Taken, 'allowed' | 'remaining' | 'resetMs' | 'retryMs'> {
  readonly totalHits: number;
  readonly timeToExpire: number;
  readonly isBlocked: boolean;
  readonly timeToBlockExpire: number;
}

/** Our buckets as a throttler's storage: `limit` is what one holds, `ttl` the milliseconds in which it fills. */
@Injectable()
export class ThrottlerBuckets implements ThrottlerStorage {
  constructor(private readonly buckets: Buckets) {}

  async increment(key: string, ttl: number, limit: number): Promise<BucketRecord> {
    const { allowed, remaining, resetMs, retryMs } = await this.buckets.take(key, rateOf(limit, ttl, limit));
    return {
      ...{ allowed, remaining, resetMs, retryMs },
      totalHits: limit - remaining,
      timeToExpire: Math.ceil(resetMs / 1000),
      isBlocked: !allowed,
      timeToBlockExpire: Math.ceil(retryMs / 1000),
    };
  }
}
