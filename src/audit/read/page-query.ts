import { EVENT_COLUMNS } from './event-view.js';
import type { PageCursor } from './page-cursor.js';

/** Lists of up to so many values are looked up one by one, and merged; longer ones are common enough to be met on the way. */
export const MAX_MERGED = 64;

/** A filter as the rows have it: names are lists of what may stand for them, an action is a list. */
export interface Sought {
  readonly tenant: string;
  readonly user_id?: readonly string[] | undefined;
  readonly remote_addr?: readonly string[] | undefined;
  readonly action?: readonly string[] | undefined;
  readonly resource?: string | undefined;
  readonly request_id?: string | undefined;
  readonly success?: boolean | undefined;
  readonly level?: string | undefined;
  /** First moment. */
  readonly from?: string | undefined;
  /** First moment that is not wanted any more. */
  readonly to?: string | undefined;
}

export interface Query {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** Lists that can be walked through one index per value, the most telling first. */
const LISTS = ['user_id', 'remote_addr', 'action'] as const;
type List = (typeof LISTS)[number];
const ORDER = 'ORDER BY e.timestamp DESC, e.id DESC';

/**
 * The newest events of a tenant, past a cursor.
 *
 * A page is the beginning of one index wherever there is one for a filter. Several values of one filter are as many
 * beginnings, merged: PostgreSQL would otherwise collect all of their events before it sorts them.
 */
export function pageQuery(sought: Sought, after: PageCursor | null, limit: number): Query {
  const values: unknown[] = [];
  const param = (value: unknown): string => `$${String(values.push(value))}`;
  const merged = mergedList(sought);
  const conditions = [`e.tenant = ${param(sought.tenant)}`, ...conditionsOf(sought, merged, param)];
  if (after !== null) {
    conditions.push(`(e.timestamp, e.id) < (${param(after.timestamp)}::timestamptz, ${param(after.id)}::uuid)`);
  }
  const most = param(limit);
  const rows = `audit_events e WHERE ${conditions.join(' AND ')}`;
  if (merged === null) return { sql: `SELECT ${EVENT_COLUMNS} FROM ${rows} ${ORDER} LIMIT ${most}`, values };
  // Of each value only the places in its index are read; whole rows only of the page.
  const sql = `
    SELECT ${EVENT_COLUMNS} FROM (
      SELECT place.timestamp, place.id FROM unnest(${param(sought[merged])}::text[]) AS one (value)
      CROSS JOIN LATERAL (
        SELECT e.timestamp, e.id FROM ${rows} AND e.${merged} = one.value ${ORDER} LIMIT ${most}
      ) AS place ORDER BY place.timestamp DESC, place.id DESC LIMIT ${most}
    ) AS place JOIN audit_events e ON e.timestamp = place.timestamp AND e.id = place.id
    WHERE e.tenant = $1 ${ORDER}`;
  return { sql, values };
}

/** The list to go through value by value; null where another filter leads straight to few events. */
function mergedList(sought: Sought): List | null {
  if (sought.resource !== undefined || sought.request_id !== undefined) return null;
  const lists = LISTS.filter((name) => sought[name] !== undefined);
  if (lists.some((name) => sought[name]?.length === 1)) return null;
  return lists.find((name) => (sought[name]?.length ?? 0) <= MAX_MERGED) ?? null;
}

function conditionsOf(sought: Sought, merged: List | null, param: (value: unknown) => string): string[] {
  const conditions: string[] = [];
  for (const name of LISTS) {
    const list = sought[name];
    if (list === undefined || name === merged) continue;
    conditions.push(list.length === 1 ? `e.${name} = ${param(list[0])}` : `e.${name} = ANY(${param(list)})`);
  }
  for (const name of ['resource', 'request_id', 'level'] as const) {
    if (sought[name] !== undefined) conditions.push(`e.${name} = ${param(sought[name])}`);
  }
  // Said in the words of the index of failures.
  if (sought.success !== undefined) conditions.push(sought.success ? 'e.success' : 'NOT e.success');
  if (sought.from !== undefined) conditions.push(`e.timestamp >= ${param(sought.from)}::timestamptz`);
  if (sought.to !== undefined) conditions.push(`e.timestamp < ${param(sought.to)}::timestamptz`);
  return conditions;
}
