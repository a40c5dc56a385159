import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { TenantScope } from '../../database/tenant-scope.js';
import type { AuditDraft } from '../record/audit-event.js';

/** Accounts of which is known when they were seen last. */
const MAX_KNOWN = 20_000;
/** Accounts that wait to be looked up; each takes a few milliseconds, one after the other. */
export const MAX_QUESTIONS = 1000;
const QUERY_MS = 5000;

/**
 * The last event of an account before a given one. Its rows have one of the tokens of its name; those from before there
 * were tokens have the name itself.
 */
const LAST = `
  SELECT max(e.timestamp) AS last FROM (
    (SELECT token FROM audit_names
     WHERE tenant = $1 AND kind = 'user_id' AND md5(value) = md5($3) AND value = $3 AND provider = $2 LIMIT 100)
    UNION ALL SELECT $3
  ) AS named CROSS JOIN LATERAL (
    SELECT timestamp FROM audit_events
    WHERE tenant = $1 AND user_id = named.token AND principal_kind IS NOT NULL AND timestamp < $4
    ORDER BY timestamp DESC, id DESC LIMIT 1
  ) AS e`;

interface Question {
  readonly draft: AuditDraft;
  readonly provider: string;
  readonly at: number;
  readonly answer: (idleMs: number) => void;
  readonly failed: (error: unknown) => void;
}

/** Tells how long an account was not seen, asking the table only where that is not known. */
@Injectable()
export class Dormancy {
  readonly #known = new LRUCache<string, number>({ max: MAX_KNOWN });
  #waiting: Question[] = [];
  #busy = false;

  constructor(private readonly scope: TenantScope) {}

  /**
   * Asks how long the account of an event had not been seen. An account that was never seen is new, not dormant.
   * @param enoughMs a shorter time is of no interest
   * @param answer called with the time in milliseconds, where it is long enough
   * @param failed called when that could not be found out
   * @returns false when too many wait already
   */
  ask(draft: AuditDraft, enoughMs: number, { answer, failed }: Pick<Question, 'answer' | 'failed'>): boolean {
    const { provider, event } = draft;
    if (provider === null) return true;
    const at = Date.parse(event.timestamp);
    const known = this.#known.get(keyOf(draft));
    if (known !== undefined && at - known < enoughMs) {
      this.#known.set(keyOf(draft), Math.max(known, at));
      return true;
    }
    if (this.#waiting.length >= MAX_QUESTIONS) return false;
    const long = (idleMs: number): void => {
      if (idleMs >= enoughMs) answer(idleMs);
    };
    this.#waiting.push({ draft, provider, at, answer: long, failed });
    if (!this.#busy) void this.#work();
    return true;
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        const last = await this.#lastBefore(next);
        this.#known.set(keyOf(next.draft), next.at);
        if (last !== null) next.answer(next.at - last);
      } catch (error) {
        next.failed(error);
      }
    }
    this.#busy = false;
  }

  async #lastBefore({ draft: { event }, provider }: Question): Promise<number | null> {
    const rows = await this.scope.within(event.tenant, async (manager) => {
      await manager.query(`SET LOCAL statement_timeout = ${QUERY_MS}`);
      return manager.query<{ last: Date | null }[]>(LAST, [event.tenant, provider, event.user_id, event.timestamp]);
    });
    return rows[0]?.last?.getTime() ?? null;
  }
}

const keyOf = ({ event: { tenant, user_id }, provider }: AuditDraft): string =>
  JSON.stringify([tenant, provider, user_id]);
