import type { Log } from '../../kernel/log.js';
import type { EventPlace } from '../chain/event-rows.js';
import type { AuditDraft } from './audit-event.js';

/** An event that has no place in the chain yet: it is in the spool. */
const NOWHERE = { node: null, seq: null, prev_hash: null, hash: null } as const;

/** Tells the log, and whoever listens, what became of events. */
export class EventTeller {
  readonly #listeners: ((draft: AuditDraft) => void)[] = [];

  constructor(private readonly log: Log) {}

  /** Calls back for every event that is safe, in order. A listener does not throw. */
  onSafe(listener: (draft: AuditDraft) => void): void {
    this.#listeners.push(listener);
  }

  /** @param place null: it is in the spool */
  safe(draft: AuditDraft, place: EventPlace | null): void {
    const { event } = draft;
    const level = event.level === 'error' ? 'error' : event.level === 'warn' ? 'warn' : 'info';
    this.log[level]({ audit: true, ...event, ...(place ?? NOWHERE) }, `audit ${event.action}`);
    for (const listener of this.#listeners) listener(draft);
  }

  /** It can never be in the table: the log has all of it. */
  refused({ event }: AuditDraft, cause: unknown): void {
    this.log.error({ audit: true, ...event, err: cause }, 'audit event refused by PostgreSQL and dropped');
  }

  /** A line of the spool that is no event; what is in it may be half of anything, and is not shown. */
  broken(line: string): void {
    this.log.error({ bytes: Buffer.byteLength(line) }, 'a line of the audit spool cannot be read and was dropped');
  }

  /** The gateway stops, and it is neither in the table nor in the spool. */
  unwritten({ event }: AuditDraft): void {
    this.log.error({ audit: true, ...event }, 'audit event not written, the gateway stopped');
  }

  dropped({ event }: AuditDraft): void {
    this.log.error({ audit: true, ...event }, 'audit event dropped, too many wait to be written');
  }
}
