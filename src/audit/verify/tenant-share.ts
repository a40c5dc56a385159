import type { EntityManager } from 'typeorm';
import type { EventRow } from './event-rows.js';
import type { Problem, Verification } from './verification.js';

/** What somebody is told whose tenant is one of several: whether the trail is whole, and what is of that tenant. */
export interface TenantVerification {
  readonly ok: boolean;
  /** `id` and `detail` only where the event is the tenant's own. */
  readonly problem: Pick<Problem, 'kind' | 'node' | 'seq'> | Problem | null;
  readonly counts: {
    /** Events of the tenant among those that were checked. */
    readonly events: number;
  };
}

/** The part of one verification that is about one tenant. */
export class TenantShare {
  #events = 0;
  #isProblem = false;

  constructor(private readonly tenant: string) {}

  /** @param row an event that is as it was written */
  take(row: EventRow): void {
    if (row['tenant'] === this.tenant) this.#events += 1;
  }

  /** Finds out whether the event that is wrong is the tenant's: by its column and by its text, either may be forged. */
  async look(manager: EntityManager, { node, seq, id }: Problem): Promise<void> {
    if (id === undefined) return;
    const rows: unknown = await manager.query(
      'SELECT tenant, canonical FROM audit_events WHERE node = $1 AND seq = $2 AND id = $3 LIMIT 1',
      [node, seq, id],
    );
    const [row] = rows as { tenant: string; canonical: string }[];
    this.#isProblem = row?.tenant === this.tenant && tenantIn(row.canonical) === this.tenant;
  }

  of({ ok, problem }: Verification): TenantVerification {
    const counts = { events: this.#events };
    if (problem === null || this.#isProblem) return { ok, problem, counts };
    const { kind, node, seq } = problem;
    return { ok, problem: { kind, node, seq }, counts };
  }
}

/** The tenant that a canonical text names; null when it is no such text. */
function tenantIn(canonical: string): unknown {
  try {
    const fields: unknown = JSON.parse(canonical);
    return (Object(fields) as Record<string, unknown>)['tenant'] ?? null;
  } catch {
    return null;
  }
}
