import { Injectable } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { PinoLogger } from 'nestjs-pino';
import type { Permission } from '../../authorization/permissions.js';
import { type AuditMetadata, AuditTrail } from '../../kernel/audit.js';
import { logFields } from '../../kernel/current-context.js';
import { DomainError } from '../../kernel/errors.js';
import type { Principal } from '../../kernel/principal.js';
import type { CallerContext } from '../../kernel/request-context.js';
import { toDomainError } from '../../transport/error-mapping.js';
import { CSV_HEADER, csvLine } from './csv.js';
import type { EventView } from './event-view.js';
import { exportStream } from './export-stream.js';
import { ReadingWatch } from './reading-watch.js';

/** Events that are in memory at a time, for each export. */
export const EXPORT_PAGE = 500;
/** Exports of one gateway at once: each keeps PostgreSQL busy as fast as it is read. */
export const MAX_EXPORTS = 4;
/** Of these, those of one principal, so that nobody keeps the others from exporting. */
export const MAX_EXPORTS_EACH = 2;

export const EXPORT_FORMATS = ['ndjson', 'csv'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
const WRITTEN: Readonly<Record<ExportFormat, { head: string; line: (event: EventView) => string }>> = {
  ndjson: { head: '', line: (event) => `${JSON.stringify(event)}\n` },
  csv: { head: CSV_HEADER, line: csvLine },
};

/** What is exported, and how. */
export interface ExportRequest {
  readonly permission: Permission;
  readonly format: ExportFormat;
  /** What the trail says of it. */
  readonly metadata: AuditMetadata;
  /** What is in it, each page made when it is asked for. */
  readonly pages: AsyncGenerator<readonly EventView[]>;
}

/** Takes events out of the trail, as fast as they are read and no further ahead than a page. */
@Injectable()
export class EventExports {
  /** Whose exports are under way. */
  readonly #open: string[] = [];

  constructor(
    private readonly watch: ReadingWatch,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
  ) {}

  /**
   * Begins an export. That it began is on record before the first event is given, and when it ends, how much there was of
   * it and how long it took.
   * @param gone aborted when nobody reads any more
   * @returns text, to be read to its end or destroyed; it fails when the caller may not go on, or does not read
   * @throws DomainError STREAM_LIMIT, AUDIT_UNAVAILABLE, and what the first page throws
   */
  async start(context: CallerContext, request: ExportRequest, gone: AbortSignal): Promise<Readable> {
    const leave = this.#enter(context.principal);
    try {
      const first = await request.pages.next();
      const metadata = { ...request.metadata, export: request.format };
      await this.audit.record(context, { action: 'audit.read', resource: null, success: true, metadata });
      return this.#stream(context, request, { first, gone, leave });
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Takes a place among the exports. @returns what gives it back */
  #enter({ tenant, provider, subject }: Principal): () => void {
    const principal = JSON.stringify([tenant, provider, subject]);
    const own = this.#open.filter((each) => each === principal).length;
    if (own >= MAX_EXPORTS_EACH) {
      throw new DomainError('STREAM_LIMIT', `${String(MAX_EXPORTS_EACH)} of your exports are under way already.`);
    }
    if (this.#open.length >= MAX_EXPORTS) throw new DomainError('STREAM_LIMIT', 'Too many exports are under way.');
    this.#open.push(principal);
    return () => void this.#open.splice(this.#open.indexOf(principal), 1);
  }

  #stream(context: CallerContext, request: ExportRequest, { first, gone, leave }: Begun): Readable {
    const progress = { rows: 0, bytes: 0, began: performance.now() };
    const readable = exportStream(pieces(request, first, progress));
    const unwatch = this.watch.begin(context, request.permission, (error) => readable.destroy(error));
    const abandon = (): void => {
      readable.destroy();
    };
    readable.on('error', (error) => {
      if (!(error instanceof DomainError)) this.logger.error({ err: error, ...logFields(context) }, 'export failed');
    });
    readable.once('close', () => {
      leave();
      unwatch();
      gone.removeEventListener('abort', abandon);
      this.#ended(context, request, progress, readable);
    });
    gone.addEventListener('abort', abandon, { once: true });
    if (gone.aborted) abandon();
    return readable;
  }

  #ended(context: CallerContext, { format, metadata }: ExportRequest, progress: Progress, readable: Readable): void {
    const { rows, bytes, began } = progress;
    const { errored, readableEnded: whole } = readable;
    const duration_seconds = Math.round((performance.now() - began) / 1000);
    const reason = errored !== null ? toDomainError(errored).code : whole ? null : 'INCOMPLETE';
    this.audit.note(context, {
      ...{ action: 'audit.exported', resource: null, success: whole, reason },
      metadata: { ...metadata, rows, bytes_out: bytes, duration_seconds, format },
    });
  }
}

/** The first page is made before the answer begins, so that what is wrong is told by its status. */
type FirstPage = IteratorResult<readonly EventView[], unknown>;

/** An export that has its place. */
interface Begun {
  readonly first: FirstPage;
  readonly gone: AbortSignal;
  readonly leave: () => void;
}

/** How far an export is: what was made for its reader, which is a page ahead of what was read at most. */
interface Progress {
  rows: number;
  bytes: number;
  /** By `performance.now()`. */
  readonly began: number;
}

async function* pieces({ format, pages }: ExportRequest, first: FirstPage, progress: Progress): AsyncGenerator<string> {
  const { head, line } = WRITTEN[format];
  const counted = (text: string): string => {
    progress.bytes += Buffer.byteLength(text);
    return text;
  };
  if (head !== '') yield counted(head);
  for (let page = first; page.done !== true; page = await pages.next()) {
    progress.rows += page.value.length;
    if (page.value.length > 0) yield counted(page.value.map(line).join(''));
  }
}
