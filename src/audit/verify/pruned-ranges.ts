import type { EntityManager } from 'typeorm';
import type { Signed, SigningKey } from '../chain/signing-key.js';
import { type PrunedRange, readTombstone } from '../chain/tombstone.js';
import { pages } from './pages.js';
import type { Problem } from './verification.js';

/** A tombstone is at most some 200 KB: see the bound on its ranges. */
const TOMBSTONES_IN_PAGE = 5;

interface TombstoneRow extends Signed {
  readonly month: string;
}

/** What was dropped with its month, by the tombstones, as far as they are signed. */
export class PrunedRanges {
  readonly #byNode = new Map<string, PrunedRange[]>();
  /** The first month that was dropped with events of a chain, `2025-10`. */
  firstMonth: string | null = null;
  /** The first tombstone that does not count. */
  problem: Problem | null = null;

  static async load(manager: EntityManager, key: SigningKey): Promise<PrunedRanges> {
    const ranges = new PrunedRanges();
    const query = `SELECT to_char(month AT TIME ZONE 'UTC', 'YYYY-MM') AS month, document, key_id, signature
      FROM audit_tombstones ORDER BY audit_tombstones.month`;
    for await (const page of pages<TombstoneRow>(manager, 'audit_tombs', TOMBSTONES_IN_PAGE, query)) {
      for (const row of page) ranges.#add(row, key);
      if (ranges.problem !== null) break;
    }
    for (const each of ranges.#byNode.values()) each.sort((one, other) => one.first - other.first);
    return ranges;
  }

  get nodes(): Iterable<string> {
    return this.#byNode.keys();
  }

  /** In the order of their numbers. */
  of(node: string): readonly PrunedRange[] {
    return this.#byNode.get(node) ?? [];
  }

  /** The range that this event was dropped with; null when it was not. */
  around(node: string, seq: number): PrunedRange | null {
    return this.of(node).find(({ first, last }) => first <= seq && seq <= last) ?? null;
  }

  #add(row: TombstoneRow, key: SigningKey): void {
    const tombstone = readTombstone(key, row);
    if (tombstone?.month !== row.month) {
      const what = tombstone === null ? 'is not signed by a key that counts' : 'is that of another month';
      this.problem ??= {
        kind: 'tombstone_invalid',
        node: null,
        seq: null,
        detail: `the tombstone of ${row.month} ${what}`,
      };
      return;
    }
    if (tombstone.chains.length > 0) this.firstMonth ??= tombstone.month;
    for (const { node, ranges } of tombstone.chains) {
      this.#byNode.set(node, [...(this.#byNode.get(node) ?? []), ...ranges]);
    }
  }
}
