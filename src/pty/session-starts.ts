import { setTimeout } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config/load.js';
import type { AuditMetadata } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK, RUNNER_ID } from '../kernel/tokens.js';
import { RunnerClient } from '../runner-link/runner-client.js';
import type { StartCommand } from './pty.schema.js';
import { RequestHash } from './request-hash.js';
import type { SessionEntity } from './session.entity.js';
import { SessionStore, START_FAILED, startFailed } from './session-store.js';
import { timesOf } from './session-times.js';
import { type SessionView, toView } from './session-view.js';
import { TerminalMetrics } from './terminal-metrics.js';

/** How long a repeated request waits for the start of the first one: as long as the runner may take. */
const FIRST_START_MS = 10_000;
const LOOK_EVERY_MS = 50;

/** A session that was started: by this call, or by an earlier one that had the same request id. */
export interface StartedView extends SessionView {
  readonly idempotent_replay?: true;
}

/** What the trail says of a start. */
export const startFacts = ({ idempotent_replay }: { readonly idempotent_replay?: boolean }): AuditMetadata =>
  // A repeated start started nothing.
  idempotent_replay === true ? { idempotent_replay } : {};

/** Starts sessions, and each only once for all requests that its owner gave the same id. */
@Injectable()
export class SessionStarts {
  constructor(
    private readonly store: SessionStore,
    private readonly runner: RunnerClient,
    private readonly requests: RequestHash,
    private readonly metrics: TerminalMetrics,
    @Inject(RUNNER_ID) private readonly runnerId: string,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Starts a session. With a `request_id` there is one for all calls of the same principal that bring it, on any gateway,
   * as long as it is remembered; a start that failed is as if it had not been.
   * @throws DomainError SESSION_LIMIT, START_FAILED, RUNNER_UNAVAILABLE, also when the first of these calls is not over in
   *   time; INVALID_ARGUMENT for times that are not permitted; IDEMPOTENCY_CONFLICT when the request id came with another
   *   request
   */
  async start(context: CallerContext, command: StartCommand): Promise<StartedView> {
    for (;;) {
      const row = this.#newRow(context, command);
      const first = await this.store.insert(row);
      if (first === null) return this.#run(row, command);
      this.#requireSame(first, command);
      const settled = await this.#settled(first);
      if (settled !== null) return { ...toView(settled), idempotent_replay: true };
    }
  }

  async #run(row: SessionEntity, command: StartCommand): Promise<SessionView> {
    const began = performance.now();
    try {
      const {
        session,
        command: argv,
        cwd,
      } = await this.runner.start({
        id: row.id,
        command: command.command,
        ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
        env: command.env,
        cols: command.cols,
        rows: command.rows,
        idle_timeout_seconds: row.idleTimeoutSeconds ?? 0,
        max_duration_seconds: row.maxDurationSeconds ?? 0,
      });
      row.command = argv ?? command.command;
      row.cwd = cwd ?? row.cwd;
      row.pid = session?.pid ?? null;
      row.name = command.name ?? nameOf(row.command);
      await this.store.markRunning(row, { command: row.command, cwd: row.cwd, pid: row.pid, name: row.name });
      const stored = await this.store.find(row.tenant, row.id);
      if (stored === null) throw new Error('A session that was started is not stored');
      this.metrics.started(began);
      return toView(stored);
    } catch (error) {
      // What did not start is not a session; what did start but could not be recorded must not live on unseen.
      await this.runner.kill(row.id, START_FAILED).catch(() => undefined);
      await this.store.remove(row);
      throw error;
    }
  }

  #requireSame(first: SessionEntity, command: StartCommand): void {
    const { tenant, ownerProvider, ownerSubject, requestId } = first;
    const by = { tenant, ownerProvider, ownerSubject, requestId: requestId ?? '' };
    if (this.requests.matches(first.requestHash, by, command)) return;
    throw new DomainError('IDEMPOTENCY_CONFLICT', 'This request_id was used for another request.');
  }

  /** The session once its start is over; null when it failed. @throws DomainError RUNNER_UNAVAILABLE when it takes too long */
  async #settled({ tenant, id }: SessionEntity): Promise<SessionEntity | null> {
    const deadline = performance.now() + FIRST_START_MS;
    for (;;) {
      const row = await this.store.find(tenant, id);
      if (row === null || startFailed(row)) return null;
      if (row.state !== 'starting') return row;
      if (performance.now() > deadline) throw stillStarting();
      await setTimeout(LOOK_EVERY_MS);
    }
  }

  #newRow({ principal }: CallerContext, command: StartCommand): SessionEntity {
    const owner = {
      tenant: principal.tenant,
      ownerProvider: principal.provider,
      ownerSubject: principal.subject,
    };
    const { request_id: requestId = null } = command;
    return {
      id: newId(),
      runner: this.runnerId,
      ...owner,
      name: command.name ?? nameOf(command.command),
      state: 'starting',
      command: command.command,
      cwd: command.cwd ?? '',
      cols: command.cols,
      rows: command.rows,
      ...timesOf(command, this.config),
      requestId,
      requestHash: requestId === null ? null : this.requests.of({ ...owner, requestId }, command),
      pid: null,
      exitCode: null,
      signal: null,
      reason: null,
      createdAt: new Date(this.clock.now()),
      endedAt: null,
      endEvent: null,
      endEventAt: null,
    };
  }
}

const stillStarting = (): DomainError =>
  new DomainError('RUNNER_UNAVAILABLE', 'The session of this request_id is still being started; ask again.', {
    details: { retry_after: 1 },
  });

/** A session that is named after its program when the caller gave no name. */
const nameOf = (argv: readonly string[]): string =>
  (argv[0]?.split('/').at(-1) ?? '').replace(/\p{Cc}/gu, '').slice(0, 100) || 'session';
