import { Inject, Injectable } from '@nestjs/common';
import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import { AuditTrail } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { systemContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { type SessionEnd, type SessionKey, SessionStore } from './session-store.js';

/** Records how sessions end, each exactly once, however many gateways hear of it. */
@Injectable()
export class SessionEnds {
  readonly #listeners = new Set<(id: string) => void>();

  constructor(
    private readonly store: SessionStore,
    private readonly audit: AuditTrail,
    @Inject(CLOCK) private readonly clock: Clock,
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

  async #end(key: SessionKey, end: SessionEnd): Promise<void> {
    const row = await this.store.end(key, end);
    for (const listener of this.#listeners) listener(key.id);
    if (row === null) return;
    // Nobody calls here: the event belongs to the session's owner and tenant.
    this.audit.note(systemContext(), {
      action: end.state === 'lost' ? 'pty.lost' : 'pty.exit',
      resource: `session:${key.id}`,
      success: end.state !== 'lost',
      reason: end.reason,
      tenant: row.tenant,
      metadata: {
        exit_code: end.exitCode,
        signal: end.signal,
        owner: { provider: row.ownerProvider, subject: row.ownerSubject },
      },
    });
  }
}
