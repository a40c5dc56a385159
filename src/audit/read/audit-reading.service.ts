import { Injectable } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { AuditTrail } from '../../kernel/audit.js';
import type { CallerContext } from '../../kernel/request-context.js';
import type { EventsCommand, ExportCommand } from './audit-read.schema.js';
import { EventExports, EXPORT_PAGE } from './event-export.js';
import { filterNames } from './event-filter.js';
import { EventReader } from './event-reader.js';
import type { EventView } from './event-view.js';
import { cursorText } from './page-cursor.js';

/** `GET /audit/events`. */
export interface EventsPage {
  readonly items: readonly EventView[];
  readonly next_cursor: string | null;
}

/** The trail of the caller's tenant. That it was read is in it too. */
@Injectable()
export class AuditReading {
  constructor(
    private readonly reader: EventReader,
    private readonly exports: EventExports,
    private readonly audit: AuditTrail,
  ) {}

  /** @throws DomainError INVALID_ARGUMENT when a name stands for too many people */
  async events(context: CallerContext, { limit, cursor, ...filter }: EventsCommand): Promise<EventsPage> {
    const { items, next } = await this.reader.page(context.principal.tenant, { filter, after: cursor ?? null, limit });
    this.audit.note(context, {
      ...{ action: 'audit.read', resource: null, success: true },
      metadata: { filters: filterNames(filter), events: items.length },
    });
    return { items, next_cursor: next === null ? null : cursorText(next) };
  }

  /**
   * All events that are asked for, newest first; what is written after the call began is not among them.
   * @param gone aborted when nobody reads any more
   * @throws DomainError INVALID_ARGUMENT as {@link events}; STREAM_LIMIT, AUDIT_UNAVAILABLE
   */
  export(context: CallerContext, { format, ...filter }: ExportCommand, gone: AbortSignal): Promise<Readable> {
    const pages = this.reader.pages(context.principal.tenant, filter, EXPORT_PAGE);
    const metadata = { filters: filterNames(filter) };
    return this.exports.start(context, { permission: 'audit:export', format, metadata, pages }, gone);
  }
}
