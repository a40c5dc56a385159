import { GENESIS } from '../chain/chain.js';
import type { PrunedRange } from '../chain/tombstone.js';
import { type EventRow, fits } from './event-rows.js';

/** How an event does not fit to what stood before it. */
export type FaultKind =
  /** Numbers are left out before it. */
  | 'gap'
  /** Its number was there already, or was dropped with its month. */
  | 'again'
  /** Its columns, text and hash do not belong together. */
  | 'unlike'
  /** It follows another event than the one that stands before it. */
  | 'unlinked'
  /** What was dropped before it followed another event. */
  | 'unbridged';

/** The first event that does not fit, and where the walk stood. */
export interface Fault {
  readonly kind: FaultKind;
  /** null at the end of the chain, which can be `unbridged` too. */
  readonly row: EventRow | null;
  /** The number that comes next. */
  readonly next: number;
  /** The hash of the event before that; null when the walk began here. */
  readonly hash: string | null;
  /** The event before, when it is still there. */
  readonly last: EventRow | null;
}

/** One chain, event by event, with what was dropped of it. Keeps one event, however long the chain is. */
export class ChainWalk {
  events = 0;
  pruned = 0;
  /** The number that comes next. */
  next: number;
  /** Hash of the event before; null when that is not known, because the walk begins within the chain. */
  hash: string | null;
  #last: EventRow | null = null;
  #range = 0;

  /**
   * @param ranges of the chain that were dropped, in order
   * @param begin number of the first event that is shown
   */
  constructor(
    private readonly ranges: readonly PrunedRange[],
    begin: number,
  ) {
    this.next = begin;
    this.hash = begin === 1 ? GENESIS : null;
  }

  /** Takes the next event. @returns what is wrong with it, or null */
  take(row: EventRow): Fault | null {
    if (!this.#bridge()) return this.#fault('unbridged', row);
    if (row.seq > this.next) return this.#fault('gap', row);
    if (row.seq < this.next) return this.#fault('again', row);
    if (!fits(row)) return this.#fault('unlike', row);
    if (this.hash !== null && row.prev_hash !== this.hash) return this.#fault('unlinked', row);
    this.events += 1;
    this.next = row.seq + 1;
    this.hash = row.hash;
    this.#last = row;
    return null;
  }

  /** The last event that was taken; null when there was none, or what was dropped comes behind it. */
  get last(): EventRow | null {
    return this.#last;
  }

  /** There are no more events. */
  end(): Fault | null {
    return this.#bridge() ? null : this.#fault('unbridged', null);
  }

  /** The number of the next event that was dropped, past the place of the walk. */
  get nextPruned(): number {
    return this.ranges[this.#range]?.first ?? Infinity;
  }

  /** Goes on behind what was dropped. @returns false when that does not follow the event before it */
  #bridge(): boolean {
    for (;;) {
      const range = this.ranges[this.#range];
      if (range === undefined || range.first > this.next) return true;
      this.#range += 1;
      // Of a walk that began behind it.
      if (range.last < this.next) continue;
      if (range.first < this.next || (this.hash !== null && range.prev_hash !== this.hash)) return false;
      this.pruned += range.last - range.first + 1;
      this.next = range.last + 1;
      this.hash = range.hash;
      this.#last = null;
    }
  }

  #fault(kind: FaultKind, row: EventRow | null): Fault {
    return { kind, row, next: this.next, hash: this.hash, last: this.#last };
  }
}
