import type { EntityManager } from 'typeorm';
import { canonicalJson, type Json } from '../../kernel/canonical-json.js';
import { hashOf } from '../chain/chain.js';
import { pages } from './pages.js';

/** Few enough that checking them does not hold up the event loop for longer than a breath. */
export const EVENTS_IN_PAGE = 200;

/** What stands in the canonical text, in its order, and in columns of the same names: before `metadata`, and behind it. */
const BEFORE = ['action', 'auth_method', 'credential_id', 'id', 'level'] as const;
const BEHIND = [
  ...([
    'node',
    'prev_hash',
    'principal_kind',
    'reason',
    'remote_addr',
    'request_id',
    'resource',
    'seq',
    'success',
  ] as const),
  ...(['tenant', 'timestamp', 'trace_id', 'transport', 'user_agent', 'user_id'] as const),
];
/** Those that are not made into something else on their way. */
const PLAIN = [...BEFORE, 'metadata', ...BEHIND].filter((name) => name !== 'seq' && name !== 'timestamp').join(', ');

/** An event as its row has it, the time as it is in the text: RFC 3339, UTC, microseconds. */
export interface EventRow {
  readonly id: string;
  readonly timestamp: string;
  readonly node: string;
  readonly seq: number;
  readonly prev_hash: string;
  readonly hash: string;
  readonly canonical: string;
  /** The others, which are only compared. */
  readonly [field: string]: Json;
}

const SELECT = `SELECT ${PLAIN}, seq::float8 AS seq, hash, canonical,
  to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS timestamp
  FROM audit_events`;

/** Numbers of events, both included; to null: to the end. */
export interface Span {
  readonly begin: number;
  readonly end: number | null;
}

/** The events of a node's chain in the order of their numbers. */
export function eventsOf(manager: EntityManager, node: string, { begin, end }: Span) {
  return pages<EventRow>(
    manager,
    'audit_walk',
    EVENTS_IN_PAGE,
    `${SELECT} WHERE node = $1 AND seq >= $2 AND ($3::bigint IS NULL OR seq <= $3) ORDER BY seq`,
    [node, begin, end],
  );
}

/** The events of a month, node by node, in the order of their numbers. @param month its first moment */
export function eventsOfMonth(manager: EntityManager, month: Date) {
  return pages<EventRow>(
    manager,
    'audit_month',
    EVENTS_IN_PAGE,
    `${SELECT} WHERE timestamp >= $1 AND timestamp < $1::timestamptz + interval '1 month' ORDER BY node, seq`,
    [month],
  );
}

/** All events with that number: more than one where somebody put one in. */
export async function eventsAt(manager: EntityManager, node: string, seq: number): Promise<EventRow[]> {
  const rows: unknown = await manager.query(`${SELECT} WHERE node = $1 AND seq = $2 LIMIT 10`, [node, seq]);
  return rows as EventRow[];
}

/**
 * What the canonical text of a row has to be, by its columns; null when they have none, as a number past all bounds. The
 * fixed fields need no sorting, and what comes out of a column is well-formed: that makes it three times as fast.
 */
export function textOf(row: EventRow): string | null {
  try {
    const metadata = canonicalJson(row['metadata'] ?? null);
    return `${membersOf(row, BEFORE).slice(0, -1)},"metadata":${metadata},${membersOf(row, BEHIND).slice(1)}`;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const membersOf = (row: EventRow, names: readonly string[]): string =>
  JSON.stringify(Object.fromEntries(names.map((name) => [name, row[name]])));

/** Is the row what was hashed: its text of its columns, its hash of its text? */
export const fits = (row: EventRow): boolean => row.canonical === textOf(row) && row.hash === hashOf(row.canonical);
