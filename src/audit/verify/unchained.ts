import type { EntityManager } from 'typeorm';
import { inserted } from './diagnosis.js';
import type { Problem } from './verification.js';

/** How far the clocks of two gateways may be apart, milliseconds. */
const CLOCKS_MS = 3_600_000;

/** The newest event of a node without a place in its chain, their number, and the first with one. */
const LOOK = `
  SELECT (SELECT count(*) FROM audit_events WHERE node = $1 AND seq <= 0)::float8 AS count,
    (SELECT extract(epoch FROM timestamp) * 1000 FROM audit_events WHERE node = $1 AND seq > 0 ORDER BY seq LIMIT 1)::float8
      AS first,
    newest.id, newest.seq, newest.ms
  FROM (SELECT) AS one LEFT JOIN LATERAL (
    SELECT id, seq::float8 AS seq, (extract(epoch FROM timestamp) * 1000)::float8 AS ms FROM audit_events
    WHERE node = $1 AND seq <= 0 ORDER BY (seq < 0) DESC, timestamp DESC LIMIT 1
  ) AS newest ON true`;

interface Newest {
  readonly node: string;
  readonly id: string;
  readonly seq: number;
  readonly ms: number;
}

/**
 * Events of before the chain, which have the number 0. Nothing vouches for them; but once there was a chain none can have
 * come to them.
 */
export class Unchained {
  count = 0;
  #newest: Newest | null = null;
  /** When the first event of any chain was, milliseconds since 1970. */
  #chainsSince = Infinity;

  /** Takes those of one node. */
  async look(manager: EntityManager, node: string): Promise<void> {
    const rows: unknown = await manager.query(LOOK, [node]);
    const [found] = rows as (Omit<Newest, 'id'> & { id: string | null; count: number; first: number | null })[];
    if (found === undefined) return;
    this.count += found.count;
    this.#chainsSince = Math.min(this.#chainsSince, found.first ?? Infinity);
    const { id, seq, ms } = found;
    if (this.#newest !== null && this.#newest.seq < 0) return;
    if (id !== null && (seq < 0 || this.#newest === null || ms > this.#newest.ms)) this.#newest = { node, id, seq, ms };
  }

  /** @param prunedSince the first month of which events of a chain were dropped, `2025-10`; null: none was */
  problem(prunedSince: string | null): Problem | null {
    const newest = this.#newest;
    if (newest === null) return null;
    if (newest.seq < 0) return inserted(newest.node, newest, 'it has a number that no event has');
    const since = Math.min(this.#chainsSince, prunedSince === null ? Infinity : endOfMonth(prunedSince));
    if (newest.ms <= since + CLOCKS_MS) return null;
    return inserted(newest.node, newest, 'it has no place in a chain, and is of a time when every event got one');
  }
}

function endOfMonth(month: string): number {
  const first = new Date(`${month}-01T00:00:00Z`);
  return first.setUTCMonth(first.getUTCMonth() + 1);
}
