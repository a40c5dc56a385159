import type { EntityManager } from 'typeorm';
import { revealed } from './event-names.js';
import type { EventRow, EventView } from './event-view.js';
import type { PageCursor } from './page-cursor.js';
import { pageQuery, type Sought } from './page-query.js';

/** A page of events, newest first. */
export interface EventPage {
  readonly items: EventView[];
  /** Where the next page begins; null when there is none. */
  readonly next: PageCursor | null;
}

/** What is asked for, and from where. */
export interface PageOf {
  /** null: from the newest. */
  readonly after: PageCursor | null;
  readonly limit: number;
}

/**
 * A page is read along indexes, until it is full. From averages PostgreSQL would guess that somebody has few events, and
 * collect and sort all that there are of who has a million.
 */
const ALONG_INDEXES = `SELECT set_config(name, 'off', true)
  FROM unnest(ARRAY['enable_sort', 'enable_seqscan', 'enable_bitmapscan', 'enable_hashjoin', 'enable_mergejoin']) AS name`;

/** For the rest of the transaction. */
export const goAlongIndexes = (manager: EntityManager): Promise<unknown> => manager.query(ALONG_INDEXES);

/** The newest rows past the cursor. */
export async function rowsOf(manager: EntityManager, sought: Sought, { after, limit }: PageOf): Promise<EventRow[]> {
  const { sql, values } = pageQuery(sought, after, limit);
  await goAlongIndexes(manager);
  const rows: unknown = await manager.query(sql, [...values]);
  return rows as EventRow[];
}

/**
 * A page of rows, with names.
 * @param rows one more than `limit` where there is a next page
 * @param stopped where the search for them ended before its end
 */
export async function pageOf(
  manager: EntityManager,
  tenant: string,
  { rows, limit, stopped }: { rows: readonly EventRow[]; limit: number; stopped: PageCursor | null },
): Promise<EventPage> {
  const items = await revealed(manager, tenant, rows.slice(0, limit));
  const last = items.at(-1);
  const next = rows.length > limit && last !== undefined ? { timestamp: last.timestamp, id: last.id } : stopped;
  return { items, next };
}
