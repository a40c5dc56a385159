import type { EntityManager } from 'typeorm';

const PARTS = `
  SELECT c.relname AS part FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = 'audit_events'::regclass ORDER BY c.relname`;

/** The months that the trail has parts for, oldest first; each its first moment. */
export async function monthsThere(manager: EntityManager): Promise<Date[]> {
  const rows: unknown = await manager.query(PARTS);
  return (rows as { part: string }[]).flatMap(({ part }) => {
    const [, year, month] = /^audit_events_(\d{4})_(\d\d)$/.exec(part) ?? [];
    return year === undefined || month === undefined ? [] : [new Date(`${year}-${month}-01T00:00:00Z`)];
  });
}
