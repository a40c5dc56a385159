import { Injectable } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { AuditTrail } from '../../kernel/audit.js';
import type { CallerContext } from '../../kernel/request-context.js';
import { EventStore } from '../chain/event-store.js';
import { EventExports, EXPORT_PAGE } from './event-export.js';
import { Subjects } from './subjects.js';

/** Whom a call is about, in the caller's tenant. */
export interface SubjectCommand {
  readonly subject: string;
  readonly provider?: string | undefined;
}

/** `DELETE /audit/subjects/:subject`. */
export interface Erased {
  /** How many names meant something before. */
  readonly names: number;
}

/** What people have a right to: all that the trail has about them, and to be taken out of it. */
@Injectable()
export class AuditSubjects {
  constructor(
    private readonly subjects: Subjects,
    private readonly exports: EventExports,
    private readonly store: EventStore,
    private readonly audit: AuditTrail,
  ) {}

  /**
   * All events about somebody, as lines of JSON: what they did, and what others did in which they are named.
   * @throws DomainError NOT_FOUND, INVALID_ARGUMENT (several providers have the subject), STREAM_LIMIT, AUDIT_UNAVAILABLE
   */
  async export(context: CallerContext, { subject, provider }: SubjectCommand, gone: AbortSignal): Promise<Readable> {
    const person = await this.subjects.find(context.principal.tenant, subject, provider);
    const metadata = { subject: { provider: person.provider, subject } };
    const pages = this.subjects.about(person, EXPORT_PAGE);
    return this.exports.start(context, { permission: 'audit:subject_export', format: 'ndjson', metadata, pages }, gone);
  }

  /**
   * Takes somebody out of the trail: their names mean nothing any more, here at once and on other gateways within a minute.
   * No event is changed, and the chains verify as before. What they do afterwards has new names.
   * @throws DomainError NOT_FOUND, INVALID_ARGUMENT (several providers have the subject), AUDIT_UNAVAILABLE
   */
  erase(context: CallerContext, { subject, provider }: SubjectCommand): Promise<Erased> {
    // The record says that there was an erasure and not whose: it would bring the name back.
    const metadata = ({ names }: Erased): { erased_names: number } => ({ erased_names: names });
    return this.audit.outcome(context, { action: 'audit.pruned', resource: null, metadata }, async () => {
      const person = await this.subjects.find(context.principal.tenant, subject, provider);
      const names = await this.subjects.erase(person);
      this.store.forgetNames();
      return { names };
    });
  }
}
