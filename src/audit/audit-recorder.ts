import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { type AuditFact, AuditTrail } from '../kernel/audit.js';
import { type Clock } from '../kernel/clock.js';
import { newId } from '../kernel/ids.js';
import type { Log } from '../kernel/log.js';
import type { RequestContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { type AuditEvent, toEvent } from './audit-event.js';
import { AUDIT_LOG } from './audit-log.js';
import { AuditWriter } from './audit-writer.js';
import { RepeatCounter } from './repeat-counter.js';

const MAX_STRANGERS = 20_000;
const STRANGER_WINDOW_MS = 60_000;
const MAX_ACCEPTED = 20_000;
const ACCEPTED_WINDOW_MS = 15 * 60_000;

interface Occurrence {
  readonly context: RequestContext;
  readonly fact: AuditFact;
}

/** The audit trail: every fact becomes one log line and one row with the same fields. */
@Injectable()
export class AuditRecorder extends AuditTrail implements OnModuleDestroy {
  readonly #strangers = new RepeatCounter<Occurrence>(MAX_STRANGERS, STRANGER_WINDOW_MS, (first, further) => {
    this.#noteFurther(first, further);
  });
  readonly #accepted = new RepeatCounter<Occurrence>(MAX_ACCEPTED, ACCEPTED_WINDOW_MS, (first, further) => {
    this.#noteFurther(first, further);
  });

  constructor(
    private readonly writer: AuditWriter,
    @Inject(AUDIT_LOG) private readonly log: Log,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    super();
  }

  async record(context: RequestContext, fact: AuditFact): Promise<void> {
    const event = this.#tell(context, fact);
    try {
      await this.writer.commit(event);
    } catch (error) {
      this.#correct(event);
      throw error;
    }
  }

  note(context: RequestContext, fact: AuditFact): void {
    this.writer.enqueue(this.#tell(context, fact));
  }

  noteStranger(context: RequestContext, fact: AuditFact): void {
    const key = `${context.remoteAddress} ${context.transport} ${fact.action} ${fact.reason ?? ''}`;
    if (this.#strangers.isFirst(key, { context, fact })) this.note(context, fact);
  }

  noteAccepted(context: RequestContext): void {
    const { principal } = context;
    if (principal === null) return;
    const who = [principal.tenant, principal.provider, principal.subject, principal.credentialId ?? ''];
    const fact: AuditFact = { action: 'auth.success', resource: null, success: true };
    if (this.#accepted.isFirst(JSON.stringify([...who, context.remoteAddress]), { context, fact }))
      this.note(context, fact);
  }

  /** Counts that are still open are told before the writer flushes. */
  onModuleDestroy(): void {
    this.#strangers.end();
    this.#accepted.end();
  }

  #noteFurther({ context, fact }: Occurrence, further: number): void {
    this.note(context, { ...fact, metadata: { ...fact.metadata, repeated: further } });
  }

  /** The first line told the outcome before the commit: a second one with the same id takes it back. */
  #correct(event: AuditEvent): void {
    const outcome = { success: false, reason: 'AUDIT_UNAVAILABLE', level: 'error', corrects: event.id };
    this.log.error(
      { audit: true, ...event, ...outcome },
      `audit ${event.action} not confirmed: its row was not written`,
    );
  }

  #tell(context: RequestContext, fact: AuditFact): AuditEvent {
    const event = toEvent(newId(), this.clock.microseconds(), context, fact);
    const level = event.level === 'error' ? 'error' : event.level === 'warn' ? 'warn' : 'info';
    this.log[level]({ audit: true, ...event }, `audit ${event.action}`);
    return event;
  }
}
