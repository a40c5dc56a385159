import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { TenantScope } from '../../database/tenant-scope.js';
import { DomainError } from '../../kernel/errors.js';
import type { EventView } from './event-view.js';
import type { PageCursor } from './page-cursor.js';
import { type EventPage, pageOf, type PageOf, rowsOf } from './page-rows.js';
import { searchText } from './text-search.js';

/** A person of a tenant. */
export interface Subject {
  readonly tenant: string;
  readonly subject: string;
  readonly provider: string;
}

/** The provider of a name that was given without one, by who revoked all of a subject's tokens. */
const ANY_PROVIDER = '';

/** What the trail has of people. */
@Injectable()
export class Subjects {
  constructor(private readonly scope: TenantScope) {}

  /**
   * The person of that name.
   * @param provider who vouches for them; may be left out where only one does
   * @throws DomainError NOT_FOUND when the trail has no such name; INVALID_ARGUMENT when several providers have it
   */
  find(tenant: string, subject: string, provider: string | undefined): Promise<Subject> {
    return this.scope.within(tenant, async (manager) => {
      const rows: unknown = await manager.query(
        `SELECT DISTINCT provider FROM audit_names
         WHERE tenant = $1 AND md5(subject) = md5($2) AND subject = $2 AND ($3::text IS NULL OR provider = $3)
         ORDER BY provider DESC LIMIT 3`,
        [tenant, subject, provider ?? null],
      );
      // Named by somebody who named no provider: that may be any of them.
      const [only, other] = (rows as { provider: string }[]).filter(
        (row, index) => row.provider !== ANY_PROVIDER || index === 0,
      );
      if (only === undefined) throw new DomainError('NOT_FOUND', 'There is no such resource.');
      if (other === undefined) return { tenant, subject, provider: only.provider };
      const problem = 'several providers have this subject: name one';
      const details = { fields: [{ field: 'provider', problem }] };
      throw new DomainError('INVALID_ARGUMENT', `provider: ${problem}`, { details });
    });
  }

  /**
   * All that is about somebody: what they did, and then what others did in which they are named; both newest first, page by
   * page.
   */
  async *about(person: Subject, limit: number): AsyncGenerator<readonly EventView[]> {
    const tokens = await this.scope.within(person.tenant, (manager) => ownTokens(manager, person));
    yield* pages((after) => this.#done(person.tenant, tokens, { after, limit }));
    for (const token of tokens) yield* pages((after) => this.#named(person.tenant, token, tokens, { after, limit }));
  }

  /**
   * Takes somebody's names out, so that no token leads to them any more. No event is changed.
   * @returns how many names there were
   */
  erase({ tenant, subject, provider }: Subject): Promise<number> {
    return this.scope.within(tenant, async (manager) => {
      const rows: unknown = await manager.query(
        `WITH gone AS (
           DELETE FROM audit_names WHERE tenant = $1 AND md5(subject) = md5($2) AND subject = $2 AND provider IN ($3, '') RETURNING 1
         ) SELECT count(*)::int AS names FROM gone`,
        [tenant, subject, provider],
      );
      return (rows as { names: number }[])[0]?.names ?? 0;
    });
  }

  #done(tenant: string, tokens: readonly string[], { after, limit }: PageOf): Promise<EventPage> {
    return this.scope.within(tenant, async (manager) => {
      const rows = await rowsOf(manager, { tenant, user_id: tokens }, { after, limit: limit + 1 });
      return pageOf(manager, tenant, { rows, limit, stopped: null });
    });
  }

  #named(tenant: string, token: string, own: readonly string[], { after, limit }: PageOf): Promise<EventPage> {
    return this.scope.within(tenant, async (manager) => {
      const found = await searchText(manager, { sought: { tenant }, text: token, after, limit: limit + 1 });
      const { items, next } = await pageOf(manager, tenant, { ...found, limit });
      // The words of a token may be elsewhere too; it is named by the whole of it, as a value.
      const theirs = new Set(
        found.rows
          .filter(({ user_id, metadata }) => !own.includes(user_id) && Object.values(metadata).includes(token))
          .map(({ id }) => id),
      );
      return { items: items.filter(({ id }) => theirs.has(id)), next };
    });
  }
}

/** One as a rule, and one more for each gateway that met the name at the same instant. */
async function ownTokens(manager: EntityManager, { tenant, subject, provider }: Subject): Promise<string[]> {
  const rows: unknown = await manager.query(
    `SELECT token FROM audit_names
     WHERE tenant = $1 AND md5(subject) = md5($2) AND subject = $2 AND provider IN ($3, '') AND kind = 'user_id' ORDER BY token`,
    [tenant, subject, provider],
  );
  return (rows as { token: string }[]).map(({ token }) => token);
}

async function* pages(page: (after: PageCursor | null) => Promise<EventPage>): AsyncGenerator<readonly EventView[]> {
  let after: PageCursor | null = null;
  do {
    const { items, next }: EventPage = await page(after);
    yield items;
    after = next;
  } while (after !== null);
}
