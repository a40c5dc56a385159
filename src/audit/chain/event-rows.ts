import type { EntityManager } from 'typeorm';
import type { AuditDraft } from '../record/audit-event.js';
import type { ChainedEvent, ChainHead } from './chain.js';
import type { NameRow } from './names.js';

const EVENT_COLUMNS = [
  ['id', 'uuid'],
  ['timestamp', 'timestamptz'],
  ['tenant', 'text'],
  ['user_id', 'text'],
  ['principal_kind', 'text'],
  ['auth_method', 'text'],
  ['credential_id', 'text'],
  ['action', 'text'],
  ['resource', 'text'],
  ['success', 'boolean'],
  ['reason', 'text'],
  ['level', 'text'],
  ['transport', 'text'],
  ['remote_addr', 'text'],
  ['user_agent', 'text'],
  ['request_id', 'text'],
  ['trace_id', 'text'],
  ['metadata', 'jsonb'],
  ['node', 'text'],
  ['seq', 'bigint'],
  ['prev_hash', 'text'],
  ['hash', 'text'],
  ['canonical', 'text'],
] as const satisfies readonly (readonly [keyof ChainedEvent, string])[];
const NAME_COLUMNS = ['token', 'tenant', 'provider', 'subject', 'kind', 'value'] as const satisfies (keyof NameRow)[];

/** `unnest` of one array for each column, beginning with parameter `first`. */
const unnest = (types: readonly string[], first: number): string =>
  `unnest(${types.map((type, index) => `$${String(first + index)}::${type}[]`).join(', ')})`;
const list = (columns: readonly string[]): string => columns.map((name) => `"${name}"`).join(', ');

const FIRST_NAME = 6;
const FIRST_EVENT = FIRST_NAME + NAME_COLUMNS.length;
/**
 * One statement, in one round trip and a transaction of its own: the head moves on, and the events are there. When the head is not where it was thought to be, because
 * another gateway has this node's name, or an answer of PostgreSQL was lost, nothing is written.
 */
const APPEND = `
  WITH moved AS (
    UPDATE audit_chains SET seq = $1, hash = $2 WHERE node = $3 AND seq = $4 AND hash = $5 RETURNING 1
  ), named AS (
    INSERT INTO audit_names (${list(NAME_COLUMNS)})
    SELECT * FROM ${unnest(
      NAME_COLUMNS.map(() => 'text'),
      FIRST_NAME,
    )} WHERE EXISTS (SELECT FROM moved)
  ), written AS (
    INSERT INTO audit_events (${list(EVENT_COLUMNS.map(([name]) => name))})
    SELECT * FROM ${unnest(
      EVENT_COLUMNS.map(([, type]) => type),
      FIRST_EVENT,
    )} WHERE EXISTS (SELECT FROM moved)
  )
  SELECT FROM moved`;

/** Where an event stands. */
export type EventPlace = Pick<ChainedEvent, 'node' | 'seq' | 'prev_hash' | 'hash'>;

/** What runs a query: a transaction, or the data source for a statement by itself. */
export type Runs = Pick<EntityManager, 'query'>;

/**
 * Appends events behind `head`, and stores the names that come with them.
 * @returns false when the chain ends elsewhere; then nothing was written
 */
export async function appendRows(
  manager: Runs,
  node: string,
  head: ChainHead,
  events: readonly ChainedEvent[],
  names: readonly NameRow[],
): Promise<boolean> {
  const end = events.at(-1) ?? head;
  const moved: unknown = await manager.query(APPEND, [
    ...[end.seq, end.hash, node, head.seq, head.hash],
    ...NAME_COLUMNS.map((column) => names.map((row) => row[column])),
    ...EVENT_COLUMNS.map(([column]) => events.map((event) => columnValue(event, column))),
  ]);
  return (moved as unknown[]).length > 0;
}

/** Where those of the events stand that are stored. */
export async function placesOf(manager: Runs, drafts: readonly AuditDraft[]): Promise<Map<string, EventPlace>> {
  const rows: unknown = await manager.query(
    `SELECT e.id, e.node, e.seq, e.prev_hash, e.hash FROM audit_events e
     JOIN unnest($1::timestamptz[], $2::uuid[]) AS w (timestamp, id) ON e.timestamp = w.timestamp AND e.id = w.id`,
    [drafts.map(({ event }) => event.timestamp), drafts.map(({ event }) => event.id)],
  );
  const found = rows as { id: string; node: string; seq: string; prev_hash: string; hash: string }[];
  return new Map(found.map(({ id, seq, ...place }) => [id, { ...place, seq: Number(seq) }]));
}

const columnValue = (event: ChainedEvent, name: (typeof EVENT_COLUMNS)[number][0]): unknown =>
  name === 'metadata' ? JSON.stringify(event.metadata) : event[name];
