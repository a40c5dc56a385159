import { Inject, Injectable } from '@nestjs/common';
import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import { type AuditFact, AuditTrail } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { newId } from '../kernel/ids.js';
import { systemContext } from '../kernel/request-context.js';
import { CLOCK, RUNNER_ID } from '../kernel/tokens.js';
import type { SessionEntity } from './session.entity.js';
import { type SessionEnd, type SessionKey, SessionStore } from './session-store.js';
import { TerminalMetrics } from './terminal-metrics.js';

/** Records how sessions end, each exactly once, however many gateways hear of it. */
@Injectable()
export class SessionEnds {
  readonly #listeners = new Set<(id: string) => void>();

  constructor(
    private readonly store: SessionStore,
    private readonly audit: AuditTrail,
    private readonly metrics: TerminalMetrics,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(RUNNER_ID) private readonly runnerId: string,
  ) {}

  /** Tells of every end that is on record now, whichever gateway recorded it. */
  onRecorded(listener: (id: string) => void): void {
    this.#listeners.add(listener);
  }

  /** A session that the runner says has ended. @param tenant of the caller who ended it; null: the runner told by itself */
  async record(session: RunnerSession__Output, tenant: string | null = null): Promise<void> {
    await this.#end(
      { tenant, id: session.id ?? '' },
      {
        state: session.state === 'killed' ? 'killed' : 'exited',
        exitCode: session.exit_code ?? null,
        signal: session.signal ?? null,
        reason: session.reason ?? 'exited',
        cols: session.cols ?? 0,
        rows: session.rows ?? 0,
        endedAt: new Date(session.ended_at_ms ?? this.clock.now()),
      },
    );
  }

  /** A session that no runner holds any more. */
  async recordLost(id: string): Promise<void> {
    const endedAt = new Date(this.clock.now());
    await this.#end(
      { tenant: null, id },
      { state: 'lost', exitCode: null, signal: null, reason: 'runner_lost', endedAt },
    );
  }

  /**
   * Tells the trail of ends whose event is not known to be there: their gateway was killed in between, or PostgreSQL was
   * away. What is there already stays as it is.
   * @param graceMs how long those who recorded an end have to tell of it themselves
   */
  async tellRest(graceMs: number): Promise<void> {
    const before = this.clock.microseconds() - BigInt(graceMs) * 1000n;
    for (const row of await this.store.untold(this.runnerId, before)) await this.#tell(row);
  }

  async #end(key: SessionKey, end: SessionEnd): Promise<void> {
    const event = { id: newId(), microseconds: this.clock.microseconds() };
    const row = await this.store.end(key, end, event);
    for (const listener of this.#listeners) listener(key.id);
    if (row === null) return;
    this.metrics.ended(end.state);
    // Nobody waits for the trail; and what cannot be ticked off is told again, and on record once all the same.
    void this.#tell(row).catch(() => undefined);
  }

  /** Nobody calls here: the event belongs to the session's owner and tenant. */
  async #tell(row: SessionEntity): Promise<void> {
    if (row.endEvent === null || row.endEventAt === null) return;
    const identity = { id: row.endEvent, microseconds: BigInt(row.endEventAt) };
    if (await this.audit.noteOnce(systemContext(), factOf(row), identity)) await this.store.endTold(row);
  }
}

const factOf = (row: SessionEntity): AuditFact => ({
  action: row.state === 'lost' ? 'pty.lost' : 'pty.exit',
  resource: `session:${row.id}`,
  success: row.state !== 'lost',
  reason: row.reason,
  tenant: row.tenant,
  metadata: {
    exit_code: row.exitCode,
    signal: row.signal,
    owner: { provider: row.ownerProvider, subject: row.ownerSubject },
  },
});
