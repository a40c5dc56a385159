import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import {
  type AuditAttempt,
  type AuditFact,
  type AuditMetadata,
  AuditTrail,
  type EventIdentity,
} from '../../kernel/audit.js';
import { type Clock } from '../../kernel/clock.js';
import { DomainError } from '../../kernel/errors.js';
import { newId } from '../../kernel/ids.js';
import { InFlight } from '../../kernel/in-flight.js';
import { networkOf } from '../../kernel/network.js';
import type { Principal } from '../../kernel/principal.js';
import type { CallerContext, RequestContext } from '../../kernel/request-context.js';
import { CLOCK } from '../../kernel/tokens.js';
import { toDomainError } from '../../transport/error-mapping.js';
import { type AuditDraft, toDraft } from './audit-event.js';
import { AuditWriter } from './audit-writer.js';
import { RepeatCounter } from './repeat-counter.js';

const MAX_STRANGERS = 20_000;
const STRANGER_WINDOW_MS = 60_000;
const MAX_DECIDED = 20_000;
const DECIDED_WINDOW_MS = 60_000;
const MAX_ACCEPTED = 20_000;
const ACCEPTED_WINDOW_MS = 15 * 60_000;

interface Occurrence {
  readonly context: RequestContext;
  readonly fact: AuditFact;
}

/** The audit trail: every fact becomes one row and one log line with the same fields. */
@Injectable()
export class AuditRecorder extends AuditTrail implements OnModuleDestroy {
  readonly #strangers = new RepeatCounter<Occurrence>(MAX_STRANGERS, STRANGER_WINDOW_MS, (first, further) => {
    this.#noteFurther(first, further);
  });
  readonly #decided = new RepeatCounter<Occurrence>(MAX_DECIDED, DECIDED_WINDOW_MS, (first, further) => {
    this.#noteFurther(first, further);
  });
  readonly #accepted = new RepeatCounter<Occurrence>(MAX_ACCEPTED, ACCEPTED_WINDOW_MS, (first, further) => {
    this.#noteFurther(first, further);
  });

  constructor(
    private readonly writer: AuditWriter,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly inFlight: InFlight,
  ) {
    super();
  }

  async record(context: RequestContext, fact: AuditFact): Promise<void> {
    const draft = this.#draft(context, fact);
    try {
      await this.writer.commit(draft);
    } catch (error) {
      this.#correct(draft);
      throw error;
    }
  }

  async outcome<T>(context: RequestContext, attempt: AuditAttempt<T>, act: () => Promise<T>): Promise<T> {
    const { action, resource, metadata, facts } = attempt;
    const made = typeof resource === 'function' ? resource : null;
    const named = typeof resource === 'function' ? null : resource;
    // The caller may be gone by then: its outcome is on record all the same.
    const ended = this.inFlight.beginChange();
    try {
      const result = await this.#attempt(act).catch((thrown: unknown) => {
        const reason = toDomainError(thrown).code;
        this.note(context, { action, resource: named, success: false, reason, ...told(facts, metadata) });
        throw thrown;
      });
      const all = told(facts, typeof metadata === 'function' ? metadata(result) : metadata);
      await this.record(context, { action, resource: made ? made(result) : named, success: true, ...all });
      return result;
    } finally {
      ended();
    }
  }

  note(context: RequestContext, fact: AuditFact): void {
    this.writer.enqueue(this.#draft(context, fact));
  }

  noteOnce(context: RequestContext, fact: AuditFact, { id, microseconds }: EventIdentity): Promise<boolean> {
    return this.writer.keep(toDraft(id, microseconds, context, fact));
  }

  noteStranger(context: RequestContext, fact: AuditFact): void {
    // By network, as they are limited: of IPv6 a stranger has as many addresses as they like.
    const key = `${networkOf(context.remoteAddress)} ${context.transport} ${fact.action} ${fact.reason ?? ''} ${detailOf(fact)}`;
    if (this.#strangers.isFirst(key, { context, fact })) this.note(context, fact);
  }

  noteCounted(context: CallerContext, fact: AuditFact, what: string): void {
    const key = JSON.stringify([...callerOf(context.principal), fact.action, what]);
    if (this.#decided.isFirst(key, { context, fact })) this.note(context, fact);
  }

  noteAccepted(context: RequestContext): void {
    const { principal } = context;
    if (principal === null) return;
    const fact: AuditFact = { action: 'auth.success', resource: null, success: true };
    if (this.#accepted.isFirst(JSON.stringify([...callerOf(principal), context.remoteAddress]), { context, fact }))
      this.note(context, fact);
  }

  /** Counts that are still open are told before the writer flushes. */
  onModuleDestroy(): void {
    this.#strangers.end();
    this.#decided.end();
    this.#accepted.end();
  }

  #noteFurther({ context, fact }: Occurrence, further: number): void {
    this.note(context, { ...fact, metadata: { ...fact.metadata, repeated: further } });
  }

  /** What is known not to be confirmable is not begun. */
  async #attempt<T>(act: () => Promise<T>): Promise<T> {
    if (!this.writer.healthy) throw new DomainError('AUDIT_UNAVAILABLE', 'The audit record cannot be written now.');
    return act();
  }

  /** The caller was told that it was not confirmed; what happened is on record all the same, as far as it could be. */
  #correct(draft: AuditDraft): void {
    const { id, metadata, ...event } = draft.event;
    const outcome = { id: newId(), level: 'error', success: false, reason: 'AUDIT_UNAVAILABLE' };
    this.writer.enqueue({ ...draft, event: { ...event, ...outcome, metadata: { ...metadata, corrects: id } } });
  }

  #draft(context: RequestContext, fact: AuditFact): AuditDraft {
    return toDraft(newId(), this.clock.microseconds(), context, fact);
  }
}

/** The internal reason, one of our own words, so that there are few. */
const detailOf = ({ metadata }: AuditFact): string => {
  const detail = metadata?.['detail'];
  return typeof detail === 'string' ? detail : '';
};

/** Facts of an outcome, if there are any; those that are made from the result are not there yet. */
const told = (
  facts: AuditMetadata | undefined,
  metadata: AuditAttempt<never>['metadata'],
): { metadata?: AuditMetadata } => {
  const known = typeof metadata === 'function' ? undefined : metadata;
  return facts === undefined && known === undefined ? {} : { metadata: { ...facts, ...known } };
};

/** Who calls, and with which credential. */
const callerOf = ({ tenant, provider, subject, credentialId }: Principal): string[] => [
  tenant,
  provider,
  subject,
  credentialId ?? '',
];
