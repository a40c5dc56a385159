import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { TenantScope } from '../../database/tenant-scope.js';
import type { EventFilter } from './event-filter.js';
import { tokensOf } from './event-names.js';
import type { PageCursor } from './page-cursor.js';
import type { Sought } from './page-query.js';
import { type EventPage, pageOf, type PageOf, rowsOf } from './page-rows.js';
import type { EventView } from './event-view.js';
import { searchText } from './text-search.js';

/** Reads the trail of one tenant, page by page. */
@Injectable()
export class EventReader {
  constructor(private readonly scope: TenantScope) {}

  /**
   * One page. It may have fewer items than asked for, and a next one all the same.
   * @throws DomainError INVALID_ARGUMENT when a name stands for too many people
   */
  page(tenant: string, { filter, after, limit }: PageOf & { readonly filter: EventFilter }): Promise<EventPage> {
    return this.scope.within(tenant, async (manager) => {
      const sought = await soughtBy(manager, tenant, filter);
      const { text } = filter;
      // One more tells whether there is a next page.
      const past = { after, limit: limit + 1 };
      const { rows, stopped } =
        text === undefined
          ? { rows: await rowsOf(manager, sought, past), stopped: null }
          : await searchText(manager, { sought, text, ...past });
      return pageOf(manager, tenant, { rows, limit, stopped });
    });
  }

  /** Everything that is asked for, page after page, each read when the one before was taken. @throws as {@link page} */
  async *pages(tenant: string, filter: EventFilter, limit: number): AsyncGenerator<readonly EventView[]> {
    let after: PageCursor | null = null;
    do {
      const page: EventPage = await this.page(tenant, { filter, after, limit });
      yield page.items;
      after = page.next;
    } while (after !== null);
  }
}

/** The filter with everything that may stand for a name: its tokens, and itself for strangers and the server. */
async function soughtBy(manager: EntityManager, tenant: string, filter: EventFilter): Promise<Sought> {
  const { user_id, remote_addr, action, resource, request_id, success, level, from, to } = filter;
  const standsFor = async (kind: 'user_id' | 'remote_addr', value: string | undefined) =>
    value === undefined ? {} : { [kind]: [value, ...(await tokensOf(manager, { tenant, kind, value }))] };
  return {
    ...{ tenant, action, resource, request_id, success, level, from, to },
    ...(await standsFor('user_id', user_id)),
    ...(await standsFor('remote_addr', remote_addr)),
  };
}
