import type { AuditFact, AuditTrail } from '../../kernel/audit.js';
import type { Clock } from '../../kernel/clock.js';
import { systemContext } from '../../kernel/request-context.js';
import type { FetchFault } from './jwks-client.js';
import type { KeySetListener } from './key-set.js';

/** A provider that stays away is on record so often, with the count of its failures. */
const REPEAT_MS = 60_000;

/** Puts what happens to a provider's keys on record, without a row for every attempt. */
export class KeySetRecord implements KeySetListener {
  #failureToldAt = -Infinity;

  /** @param keysChanged called when keys were withdrawn or added */
  constructor(
    private readonly provider: string,
    private readonly audit: AuditTrail,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly keysChanged: () => void,
  ) {}

  changed(keys: number): void {
    this.#note({ action: 'jwks.fetch_success', success: true, metadata: { keys } });
    this.keysChanged();
  }

  failed(fault: FetchFault, failures: number): void {
    const now = this.clock.now();
    if (failures > 1 && now - this.#failureToldAt < REPEAT_MS) return;
    this.#failureToldAt = now;
    const metadata = { detail: fault, failures };
    this.#note({ action: 'jwks.fetch_failed', success: false, reason: 'JWKS_UNAVAILABLE', metadata });
  }

  stale(ageSeconds: number): void {
    this.#note({ action: 'jwks.stale_used', success: true, metadata: { age_seconds: ageSeconds } });
  }

  #note(fact: Omit<AuditFact, 'resource'>): void {
    this.audit.note(systemContext(), { ...fact, resource: `provider:${this.provider}` });
  }
}
