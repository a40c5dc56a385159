import { Controller, Delete, Get, Param, Query, Res } from '@nestjs/common';
import type { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { RequirePermission } from '../../authorization/decorators.js';
import type { CallerContext } from '../../kernel/request-context.js';
import { Gone } from '../../transport/call.js';
import { Caller } from '../../transport/caller.js';
import {
  type EventsCommand,
  eventsSchema,
  type ExportCommand,
  exportSchema,
  providerSchema,
  streamSchema,
  subjectSchema,
} from './audit-read.schema.js';
import { AuditReading, type EventsPage } from './audit-reading.service.js';
import { AuditSubjects, type Erased } from './audit-subjects.service.js';
import type { ExportFormat } from './event-export.js';
import type { EventFilter } from './event-filter.js';
import { EventStreams } from './event-streams.js';

const TYPES: Readonly<Record<ExportFormat, string>> = {
  ndjson: 'application/x-ndjson; charset=utf-8',
  csv: 'text/csv; charset=utf-8; header=present',
};
type Subject = z.output<typeof subjectSchema>;
type Provider = z.output<typeof providerSchema>;

/** The audit trail of the caller's tenant over REST. */
@Controller('/api/v1/audit')
export class AuditController {
  constructor(
    private readonly reading: AuditReading,
    private readonly streams: EventStreams,
    private readonly subjects: AuditSubjects,
  ) {}

  @Get('events')
  @RequirePermission('audit:read')
  events(
    @Caller() caller: CallerContext,
    @Query({ schema: eventsSchema }) command: EventsCommand,
  ): Promise<EventsPage> {
    return this.reading.events(caller, command);
  }

  @Get('events/stream')
  @RequirePermission('audit:read')
  async stream(
    @Caller() caller: CallerContext,
    @Query({ schema: streamSchema }) filter: EventFilter,
    @Gone() gone: AbortSignal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Readable> {
    const events = await this.streams.open(caller, filter, gone);
    // A proxy that collects answers would keep it all to itself.
    void reply.headers({ 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' });
    return events;
  }

  @Get('export')
  @RequirePermission('audit:export')
  async export(
    @Caller() caller: CallerContext,
    @Query({ schema: exportSchema }) command: ExportCommand,
    @Gone() gone: AbortSignal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Readable> {
    return asFile(reply, command.format, await this.reading.export(caller, command, gone));
  }

  @Get('subjects/:subject/export')
  @RequirePermission('audit:subject_export')
  async exportSubject(
    @Caller() caller: CallerContext,
    @Param({ schema: subjectSchema }) { subject }: Subject,
    @Query({ schema: providerSchema }) { provider }: Provider,
    @Gone() gone: AbortSignal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Readable> {
    return asFile(reply, 'ndjson', await this.subjects.export(caller, { subject, provider }, gone));
  }

  /** Recorded by the service: the decorator would name the person. */
  @Delete('subjects/:subject')
  @RequirePermission('audit:subject_erase')
  erase(
    @Caller() caller: CallerContext,
    @Param({ schema: subjectSchema }) { subject }: Subject,
    @Query({ schema: providerSchema }) { provider }: Provider,
  ): Promise<Erased> {
    return this.subjects.erase(caller, { subject, provider });
  }
}

/** Browsers keep it as a file. */
function asFile(reply: FastifyReply, format: ExportFormat, text: Readable): Readable {
  void reply.headers({
    'Content-Type': TYPES[format],
    'Content-Disposition': `attachment; filename="audit.${format}"`,
  });
  return text;
}
