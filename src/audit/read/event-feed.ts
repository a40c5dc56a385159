import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { EntityManager } from 'typeorm';
import { TenantScope } from '../../database/tenant-scope.js';
import { revealed } from './event-names.js';
import { EVENT_COLUMNS, type EventRow, type EventView } from './event-view.js';
import { goAlongIndexes } from './page-rows.js';

/** How soon what any gateway wrote is seen. */
const LOOK_EVERY_MS = 1000;
/** Events of one gateway's chain that one look takes; the next one follows at once. */
export const MAX_LOOK = 1000;

/** Gets the new events of a tenant, oldest first within each gateway. */
export interface FeedListener {
  readonly tenant: string;
  take(events: readonly EventView[]): void;
}

/** A stretch of a gateway's chain. */
interface Stretch {
  readonly node: string;
  readonly after: number;
  readonly upTo: number;
}

/**
 * New events of all gateways. Each gateway numbers its events without gaps, in the order in which they are committed, so
 * what is new is known from how far each chain went: nothing is missed however late it is committed, and nothing comes twice.
 * There is one look a second for all listeners, and a query for each tenant of theirs only when a chain went on.
 */
@Injectable()
export class EventFeed implements OnModuleDestroy {
  readonly #listeners = new Set<FeedListener>();
  /** How far each gateway's chain was followed; empty while nobody listens. */
  readonly #seen = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | null = null;

  constructor(
    private readonly scope: TenantScope,
    private readonly logger: PinoLogger,
  ) {}

  onModuleDestroy(): void {
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  /**
   * From now on.
   * @returns what ends it
   * @throws the driver's error when it cannot be known where the chains are
   */
  async listen(listener: FeedListener): Promise<() => void> {
    // Who is first begins at the ends of the chains; who comes later, at what was seen last.
    await this.#looking;
    if (this.#listeners.size === 0) await this.#begin();
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) clearTimeout(this.#timer);
    };
  }

  async #begin(): Promise<void> {
    const ends = await this.scope.system(endsOf);
    // Somebody else may have begun meanwhile.
    if (this.#listeners.size > 0) return;
    this.#seen.clear();
    for (const { node, seq } of ends) this.#seen.set(node, seq);
    this.#lookIn(LOOK_EVERY_MS);
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().finally(() => {
        this.#looking = null;
      });
    }, ms).unref();
  }

  async #look(): Promise<void> {
    let more = false;
    try {
      const stretches = this.#stretches(await this.scope.system(endsOf));
      more = stretches.some(({ after, upTo }) => upTo - after === MAX_LOOK);
      if (stretches.length > 0) await this.#deliver(stretches);
    } catch (error) {
      // What was not seen yet is seen when PostgreSQL is back.
      this.logger.debug({ err: error }, 'new audit events could not be looked for');
    }
    if (this.#listeners.size > 0) this.#lookIn(more ? 0 : LOOK_EVERY_MS);
  }

  #stretches(ends: readonly { node: string; seq: number }[]): Stretch[] {
    return ends
      .map(({ node, seq }) => {
        const after = this.#seen.get(node) ?? 0;
        return { node, after, upTo: Math.min(seq, after + MAX_LOOK) };
      })
      .filter(({ after, upTo }) => upTo > after);
  }

  async #deliver(stretches: readonly Stretch[]): Promise<void> {
    const tenants = [...new Set([...this.#listeners].map(({ tenant }) => tenant))];
    // All of them, before anybody gets any: what fails half way is looked for again.
    const events = new Map<string, EventView[]>();
    for (const tenant of tenants) events.set(tenant, await this.#eventsOf(tenant, stretches));
    for (const { node, upTo } of stretches) this.#seen.set(node, upTo);
    for (const listener of [...this.#listeners]) {
      const theirs = events.get(listener.tenant) ?? [];
      if (theirs.length > 0) listener.take(theirs);
    }
  }

  #eventsOf(tenant: string, stretches: readonly Stretch[]): Promise<EventView[]> {
    return this.scope.within(tenant, async (manager) => {
      await goAlongIndexes(manager);
      const rows: unknown = await manager.query(
        `SELECT ${EVENT_COLUMNS} FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS s (node, after, up_to)
         JOIN audit_events e ON e.node = s.node AND e.seq > s.after AND e.seq <= s.up_to
         WHERE e.tenant = $1 ORDER BY e.timestamp, e.id`,
        [
          tenant,
          stretches.map(({ node }) => node),
          stretches.map(({ after }) => after),
          stretches.map(({ upTo }) => upTo),
        ],
      );
      return revealed(manager, tenant, rows as EventRow[]);
    });
  }
}

/** How far the chain of each gateway goes. */
async function endsOf(manager: EntityManager): Promise<{ node: string; seq: number }[]> {
  const rows: unknown = await manager.query('SELECT node, seq FROM audit_chains');
  return (rows as { node: string; seq: string }[]).map(({ node, seq }) => ({ node, seq: Number(seq) }));
}
