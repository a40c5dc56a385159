import type { AuditDraft } from '../record/audit-event.js';
import { RepeatCounter } from '../record/repeat-counter.js';
import type { Rule } from './alert-file.js';
import { isRepetition, matches, occurrences } from './alert-filter.js';
import { SlidingCounts } from './sliding-counts.js';

/** Groups of one rule that are counted, and of which is known that they were told. */
const MAX_GROUPS = 5000;
const DAY_MS = 86_400_000;

/** A rule that was met. */
export interface Alert {
  readonly rule: Rule;
  /** The event that met it. */
  readonly draft: AuditDraft;
  /** Of a count: how many there were. */
  readonly count: number | null;
  /** Of a dormant account: whole days since it was seen. */
  readonly idleDays: number | null;
  /** How often it was met again since it was told; null when it is told for the first time. */
  readonly further: number | null;
}

/** One rule and what it remembers: what it counted, and what it told. */
export class RuleState {
  /** Null for a rule that does not count. */
  readonly #counts: SlidingCounts | null;
  readonly #told: RepeatCounter<Alert>;

  /** @param tell called for what is to be sent */
  constructor(
    readonly rule: Rule,
    private readonly tell: (alert: Alert) => void,
  ) {
    this.#counts = rule.kind === 'count' ? new SlidingCounts(rule.within_seconds * 1000, MAX_GROUPS) : null;
    this.#told = new RepeatCounter(MAX_GROUPS, rule.repeat_after_seconds * 1000, (first, further) => {
      tell({ ...first, further });
    });
  }

  /** Is the rule about this action at all? */
  concerns(action: string): boolean {
    return this.rule.kind === 'dormant' ? action === 'auth.success' : this.rule.actions.has(action);
  }

  /** Holds an event against a rule that counts, or is met by each. */
  take(draft: AuditDraft): void {
    const { rule } = this;
    const { event } = draft;
    if (rule.kind === 'dormant' || !rule.actions.has(event.action) || !matches(event, rule.where)) return;
    const at = Date.parse(event.timestamp);
    const count = this.#counts?.add(this.#groupOf(draft), at, occurrences(event)) ?? null;
    if (rule.kind === 'any' || (count ?? 0) >= rule.at_least) this.#met({ draft, count, idleDays: null });
  }

  /** @param idleMs how long the account of this `auth.success` was not seen before */
  takeIdle(draft: AuditDraft, idleMs: number): void {
    const { rule } = this;
    if (rule.kind !== 'dormant' || isRepetition(draft.event) || !matches(draft.event, rule.where)) return;
    const idleDays = Math.floor(idleMs / DAY_MS);
    if (idleDays >= rule.days) this.#met({ draft, count: null, idleDays });
  }

  /** What was not told yet is told now. */
  end(): void {
    this.#told.end();
  }

  #met(found: Pick<Alert, 'draft' | 'count' | 'idleDays'>): void {
    const alert = { ...found, rule: this.rule, further: null };
    if (this.#told.isFirst(this.#groupOf(found.draft), alert)) this.tell(alert);
  }

  /** Tenants are never counted together. */
  #groupOf({ event, provider }: AuditDraft): string {
    const { tenant, user_id, remote_addr, resource } = event;
    const by = this.rule.kind === 'dormant' ? 'user' : this.rule.group_by;
    const group = {
      ...{ address: [remote_addr], user: [provider ?? '', user_id] },
      ...{ resource: [resource ?? ''], tenant: [] },
    }[by];
    return JSON.stringify([tenant, ...group]);
  }
}
