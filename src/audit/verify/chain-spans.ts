import type { EntityManager } from 'typeorm';
import type { ChainHead } from '../chain/chain.js';
import type { Span } from './event-rows.js';
import type { Period } from './verification.js';

/** A step from name to name through an index, as PostgreSQL does not take by itself for DISTINCT. */
const NODES_OF_EVENTS = `
  WITH RECURSIVE step AS (
    (SELECT node FROM audit_events ORDER BY node LIMIT 1)
    UNION ALL
    SELECT (SELECT e.node FROM audit_events e WHERE e.node > step.node ORDER BY e.node LIMIT 1)
    FROM step WHERE step.node IS NOT NULL
  ) SELECT node FROM step WHERE node IS NOT NULL`;

/** What the database says of a chain beside its events. */
export interface KnownChain {
  readonly node: string;
  /** Where `audit_chains` says that it ends. */
  readonly head: ChainHead | null;
  /** Number of the last event that a checkpoint speaks of, 0: none. Its signature was not looked at. */
  readonly checkpointed: number;
}

/** Every chain that anything in the database speaks of, but tombstones, in the order of their names. */
export async function knownChains(manager: EntityManager): Promise<KnownChain[]> {
  const rows: unknown = await manager.query(`
    SELECT node, c.seq::float8 AS seq, c.hash,
      coalesce((SELECT max(p.seq) FROM audit_checkpoints p WHERE p.node = n.node), 0)::float8 AS checkpointed
    FROM (${NODES_OF_EVENTS} UNION SELECT node FROM audit_chains UNION SELECT DISTINCT node FROM audit_checkpoints) n
      LEFT JOIN audit_chains c USING (node)
    ORDER BY node`);
  return (rows as { node: string; seq: number | null; hash: string | null; checkpointed: number }[]).map(
    ({ node, seq, hash, checkpointed }) => ({
      node,
      head: seq === null || hash === null ? null : { seq, hash },
      checkpointed,
    }),
  );
}

/**
 * The part of a chain that has the events of a period in it: from the last checkpoint before it to the first behind it,
 * or from the beginning or to the end where there is none. So a gap at the period's edge shows too.
 */
export async function spanOf(manager: EntityManager, node: string, { from, to }: Period): Promise<Span> {
  const begin = from === null ? 1 : await beginOf(manager, node, from);
  return { begin, end: to === null ? null : await endOf(manager, node, to, begin) };
}

/** An event that is still there, the one of a checkpoint where there is such a one. */
const BEGIN = `
  WITH inside AS (SELECT min(seq) AS first FROM audit_events WHERE node = $1 AND seq > 0 AND timestamp >= $2)
  SELECT coalesce(
    (SELECT c.seq FROM audit_checkpoints c, inside
     WHERE c.node = $1 AND (inside.first IS NULL OR c.seq < inside.first)
       AND EXISTS (SELECT FROM audit_events e WHERE e.node = $1 AND e.seq = c.seq)
     ORDER BY c.seq DESC LIMIT 1), 1)::float8 AS seq`;

const END = `
  WITH inside AS (SELECT max(seq) AS last FROM audit_events WHERE node = $1 AND seq > 0 AND timestamp < $2)
  SELECT (SELECT min(c.seq) FROM audit_checkpoints c, inside
          WHERE c.node = $1 AND c.seq >= greatest(inside.last, $3::bigint))::float8 AS seq`;

async function beginOf(manager: EntityManager, node: string, from: string): Promise<number> {
  const rows: unknown = await manager.query(BEGIN, [node, from]);
  return (rows as { seq: number }[])[0]?.seq ?? 1;
}

async function endOf(manager: EntityManager, node: string, to: string, begin: number): Promise<number | null> {
  const rows: unknown = await manager.query(END, [node, to, begin]);
  return (rows as { seq: number | null }[])[0]?.seq ?? null;
}
