import type { EntityManager } from 'typeorm';
import { DomainError } from '../../kernel/errors.js';
import { isNameToken, type NameKind } from '../chain/names.js';
import type { EventRow, EventView } from './event-view.js';

/** Most tokens of one value: an address that so many people came from tells nothing of any of them. */
export const MAX_TOKENS = 10_000;

/**
 * The tokens that stand for a value in events of this tenant.
 * @throws DomainError INVALID_ARGUMENT naming the field when there are more than {@link MAX_TOKENS}
 */
export async function tokensOf(
  manager: EntityManager,
  { tenant, kind, value }: { readonly tenant: string; readonly kind: NameKind; readonly value: string },
): Promise<string[]> {
  const rows: unknown = await manager.query(
    `SELECT token FROM audit_names WHERE tenant = $1 AND kind = $2 AND md5(value) = md5($3) AND value = $3
     LIMIT ${String(MAX_TOKENS + 1)}`,
    [tenant, kind, value],
  );
  const tokens = (rows as { token: string }[]).map(({ token }) => token);
  if (tokens.length > MAX_TOKENS) {
    const problem = `more than ${String(MAX_TOKENS)} people have it; search without it`;
    throw new DomainError('INVALID_ARGUMENT', `${kind}: ${problem}`, {
      details: { fields: [{ field: kind, problem }] },
    });
  }
  return tokens;
}

/** Rows with the names that their tokens stand for. Who was erased stays a token. */
export async function revealed(
  manager: EntityManager,
  tenant: string,
  rows: readonly EventRow[],
): Promise<EventView[]> {
  const tokens = [...new Set(rows.flatMap(tokensIn))];
  const names = new Map<string, string>();
  if (tokens.length > 0) {
    const known: unknown = await manager.query(
      'SELECT token, value FROM audit_names WHERE tenant = $1 AND token = ANY($2)',
      [tenant, tokens],
    );
    for (const { token, value } of known as { token: string; value: string }[]) names.set(token, value);
  }
  return rows.map((row) => withNames(row, names));
}

/** Is it an event whose own fields are a known caller's? A service's or stranger's are nobody's. */
const isSomebodys = ({ seq, principal_kind }: EventRow): boolean => seq !== '0' && principal_kind !== null;

function tokensIn(row: EventRow): string[] {
  const own = isSomebodys(row) ? [row.user_id, row.remote_addr, row.user_agent] : [];
  const named = row.seq === '0' ? [] : Object.values(row.metadata);
  return [...own, ...named].filter((value): value is string => typeof value === 'string' && isNameToken(value));
}

function withNames(row: EventRow, names: ReadonlyMap<string, string>): EventView {
  const seq = Number(row.seq);
  if (seq === 0) return { ...row, seq };
  const named = (value: unknown): unknown => (typeof value === 'string' ? (names.get(value) ?? value) : value);
  const metadata = Object.fromEntries(Object.entries(row.metadata).map(([name, value]) => [name, named(value)]));
  if (!isSomebodys(row)) return { ...row, seq, metadata };
  return {
    ...row,
    seq,
    metadata,
    user_id: names.get(row.user_id) ?? row.user_id,
    remote_addr: names.get(row.remote_addr) ?? row.remote_addr,
    user_agent: row.user_agent === null ? null : (names.get(row.user_agent) ?? row.user_agent),
  };
}
