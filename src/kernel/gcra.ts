/**
 * A token bucket in one number (GCRA, the generic cell rate algorithm of ITU-T I.371): the moment at which the bucket is
 * full again. Pure: time comes from the caller.
 */

/** How fast a bucket fills, and how much it holds. */
export interface Rate {
  /** Milliseconds until one more may be taken. */
  readonly everyMs: number;
  /** How many may be taken at once. */
  readonly burst: number;
}

/** What became of an attempt to take. */
export interface Taken {
  readonly allowed: boolean;
  /** When the bucket is full again, on the clock of `now`; to be kept only when it was allowed. */
  readonly fullAt: number;
  /** Whole ones that are left. */
  readonly remaining: number;
  /** Milliseconds until the bucket is full. */
  readonly resetMs: number;
  /** Milliseconds until as much as was asked for may be taken; 0 when it was. */
  readonly retryMs: number;
}

/** So many in each such time, milliseconds. */
export const rateOf = (count: number, perMs: number, burst: number): Rate => ({ everyMs: perMs / count, burst });

/** A millionth of a millisecond for each taken: the sum of many steps is not exact. */
const INEXACT_MS = 1e-6;

/**
 * Takes from a bucket.
 * @param fullAt as it was kept; anything before `now` is a full bucket
 * @param now milliseconds, on any clock that does not go back
 * @param cost how many; 0 only looks, less gives back
 */
export function take({ everyMs, burst }: Rate, fullAt: number, now: number, cost = 1): Taken {
  const holds = everyMs * burst;
  // No bucket is emptier than empty: the rate may have been another one when it was kept.
  const debt = Math.min(Math.max(fullAt - now, 0), holds);
  const after = Math.max(debt + everyMs * cost, 0);
  const allowed = after <= holds + INEXACT_MS * burst;
  const owed = allowed ? Math.min(after, holds) : debt;
  return {
    allowed,
    fullAt: now + owed,
    remaining: Math.floor((holds - owed) / everyMs + INEXACT_MS * burst),
    resetMs: owed,
    retryMs: allowed ? 0 : after - holds,
  };
}
