import type { TestGateway } from './gateway.js';

/** How many rows of an action, or of several together, each of the sessions has in the audit trail. */
export async function rowsPerSession(
  gateway: TestGateway,
  action: string | readonly string[],
  sessions: readonly string[],
): Promise<number[]> {
  const rows = await gateway.query(
    'SELECT resource, count(*)::int AS rows FROM audit_events WHERE action = ANY ($1) GROUP BY resource',
    [[action].flat()],
  );
  const counts = new Map(rows.map(({ resource, rows: count }) => [resource, Number(count)]));
  return sessions.map((id) => counts.get(`session:${id}`) ?? 0);
}

/** One row each: what {@link rowsPerSession} is to say of what happens once. */
export const onceEach = (sessions: readonly string[]): number[] => sessions.map(() => 1);
