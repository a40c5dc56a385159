/** The current time, replaceable so that tests can hold it still. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number;
  /** Microseconds since 1970, UTC; never goes back by less than a step of the system clock. */
  microseconds(): bigint;
}

/** How far the fine clock may differ from the system clock before it is set again, milliseconds. */
const MAX_DRIFT_MS = 5;

let anchor = Date.now() - performance.now();

export const systemClock: Clock = {
  now: () => Date.now(),
  // Date has milliseconds only; the monotonic clock has the rest, set by the system clock whenever that was stepped.
  microseconds: () => {
    if (Math.abs(anchor + performance.now() - Date.now()) > MAX_DRIFT_MS) anchor = Date.now() - performance.now();
    return BigInt(Math.round((anchor + performance.now()) * 1000));
  },
};
