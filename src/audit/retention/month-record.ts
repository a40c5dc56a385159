import type { PrunedRange, Tombstone } from '../chain/tombstone.js';
import { type EventRow, fits } from '../verify/event-rows.js';

/** Of one month: at its edge two gateways' worth of concurrent events can be out of order, not thousands. */
export const MAX_RANGES = 1000;

/** A month that is not dropped, and why. */
export class MonthKept extends Error {
  /** @param where number and node of the event that is in the way; null when it is none of them */
  constructor(
    message: string,
    readonly where: { readonly node: string; readonly seq: number } | null,
  ) {
    super(message);
    this.name = 'MonthKept';
  }
}

/**
 * Makes of the events of a month, in the order of their nodes and numbers, what its tombstone says. What was tampered with
 * gets none: a signature would vouch for it.
 */
export class MonthRecord {
  events = 0;
  #unchained = 0;
  #ranges = 0;
  readonly #chains = new Map<string, PrunedRange[]>();

  /** @throws MonthKept when the event does not fit itself or the one before it, or there are too many ranges */
  take(row: EventRow): void {
    this.events += 1;
    if (row.seq === 0) {
      this.#unchained += 1;
      return;
    }
    if (row.seq < 0 || !fits(row)) throw new MonthKept('an event is not as it was written', row);
    const ranges = this.#chains.get(row.node) ?? [];
    const current = ranges.at(-1);
    if (current?.last === row.seq - 1) {
      if (current.hash !== row.prev_hash) throw new MonthKept('an event does not follow the one before it', row);
      ranges[ranges.length - 1] = { ...current, last: row.seq, hash: row.hash };
      return;
    }
    if (current?.last === row.seq) throw new MonthKept('two events have one number', row);
    this.#ranges += 1;
    if (this.#ranges > MAX_RANGES) throw new MonthKept(`its events are in more than ${MAX_RANGES} pieces`, null);
    ranges.push({ first: row.seq, last: row.seq, prev_hash: row.prev_hash, hash: row.hash });
    this.#chains.set(row.node, ranges);
  }

  /** @param month `2025-10` @param time of the drop, RFC 3339 */
  tombstone(month: string, time: string): Omit<Tombstone, 'kind'> {
    const chains = [...this.#chains].map(([node, ranges]) => ({ node, ranges }));
    return { month, events: this.events, unchained: this.#unchained, chains, time };
  }
}
