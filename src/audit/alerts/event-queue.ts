import type { Log } from '../../kernel/log.js';
import type { AuditDraft } from '../record/audit-event.js';

/** Events that wait to be held against the rules. */
export const MAX_EVENTS = 10_000;
/** Events of one turn of the event loop; others get theirs in between. */
const PER_TURN = 100;

/**
 * Takes events from the writer without keeping it: what is done with them is done in turns of its own, and what goes wrong
 * there, or is too much, is counted and told in the log, once until it has caught up.
 */
export class EventQueue {
  readonly figures = { dropped: 0, failed: 0 };
  #waiting: AuditDraft[] = [];
  #scheduled = false;
  #told = false;

  constructor(
    private readonly take: (draft: AuditDraft) => void,
    private readonly log: Log,
  ) {}

  /** Never throws. */
  push(draft: AuditDraft): void {
    if (this.#waiting.length >= MAX_EVENTS) {
      this.dropped();
      return;
    }
    this.#waiting.push(draft);
    this.#schedule();
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#scheduled) await new Promise((resolve) => setImmediate(resolve));
  }

  /** An event was not held against every rule, since too many waited. */
  dropped(): void {
    this.figures.dropped += 1;
    this.#tell({ dropped: this.figures.dropped }, 'too many audit events for the alert rules, some were not looked at');
  }

  /** An event could not be held against a rule. */
  failed(error: unknown): void {
    this.figures.failed += 1;
    this.#tell({ err: error, failed: this.figures.failed }, 'an audit event could not be held against the alert rules');
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const draft of this.#waiting.splice(0, PER_TURN)) this.#one(draft);
      if (this.#waiting.length > 0) this.#schedule();
      else this.#told = false;
    });
  }

  #one(draft: AuditDraft): void {
    try {
      this.take(draft);
    } catch (error) {
      this.failed(error);
    }
  }

  #tell(figures: object, message: string): void {
    if (!this.#told) this.log.error(figures, message);
    this.#told = true;
  }
}
