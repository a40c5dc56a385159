import type { EntityManager } from 'typeorm';

/**
 * The rows of a query, some at a time, so that memory does not grow with them: a cursor of the server's.
 * @param manager of a transaction, which the cursor is part of
 * @param name of the cursor, one of ours: two that are open at once have two names
 * @param size rows in a page, at most
 */
export async function* pages<Row>(
  manager: EntityManager,
  name: string,
  size: number,
  sql: string,
  parameters: readonly unknown[] = [],
): AsyncGenerator<readonly Row[], void> {
  // Behind row-level security few rows are expected, and all of them would be sorted first; an index has them in order.
  await manager.query('SET LOCAL enable_sort = off');
  await manager.query(`DECLARE ${name} NO SCROLL CURSOR FOR ${sql}`, [...parameters]);
  try {
    for (;;) {
      const rows: unknown = await manager.query(`FETCH ${size} FROM ${name}`);
      if ((rows as Row[]).length === 0) return;
      yield rows as Row[];
    }
  } finally {
    // After an error the whole transaction is over, and the cursor with it.
    await manager.query(`CLOSE ${name}`).catch(() => undefined);
  }
}
