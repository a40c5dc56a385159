import type { EntityManager } from 'typeorm';
import { monthsThere } from '../chain/months-there.js';
import { EVENT_COLUMNS, type EventRow } from './event-view.js';
import { before, type PageCursor } from './page-cursor.js';
import type { Sought } from './page-query.js';
import type { PageOf } from './page-rows.js';

/** Months that one page looks through; behind them it ends, with a cursor to go on from. */
export const MAX_MONTHS = 24;

export interface TextRequest extends PageOf {
  readonly sought: Sought;
  readonly text: string;
}

/** What was found, and where the search stopped before its end; null when it went through all there is. */
export interface Found {
  readonly rows: EventRow[];
  readonly stopped: PageCursor | null;
}

/**
 * The newest events with all words of a text, month by month. Row-level security would keep the index of words from being
 * used, so a function of the migration looks into the months, in the tenant of the transaction and no other.
 */
export async function searchText(manager: EntityManager, asked: TextRequest): Promise<Found> {
  const { sought, text, after, limit } = asked;
  const months = (await monthsThere(manager))
    .reverse()
    .map(written)
    .filter((month) => isWithin(month, sought, after));
  const searched = months.slice(0, MAX_MONTHS);
  const rows: unknown = await manager.query(
    `SELECT ${EVENT_COLUMNS}
     FROM audit_search($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) AS f
     JOIN audit_events e ON e.timestamp = f.found_at AND e.id = f.found
     WHERE e.tenant = $2 ORDER BY e.timestamp DESC, e.id DESC`,
    [
      ...[searched, sought.tenant, text, sought.user_id, sought.remote_addr, sought.action, sought.resource],
      ...[sought.request_id, sought.success, sought.level, sought.from, sought.to],
      ...[after?.timestamp, after?.id, limit],
    ].map((value) => value ?? null),
  );
  const last = searched.at(-1);
  return { rows: rows as EventRow[], stopped: last === undefined || last === months.at(-1) ? null : before(last) };
}

/** A first moment as the trail writes moments. */
const written = (month: Date): string => `${month.toISOString().slice(0, 19)}.000000Z`;

/** Can there be something of it in this month? Texts of moments are in the order of the moments. */
function isWithin(month: string, { from, to }: Sought, after: PageCursor | null): boolean {
  const end = new Date(month);
  end.setUTCMonth(end.getUTCMonth() + 1);
  const over = written(end);
  return (
    (from === undefined || over > from) && (to === undefined || month < to) && month <= (after?.timestamp ?? month)
  );
}
