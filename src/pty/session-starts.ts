import { setTimeout } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { OwnershipRegistry } from '../authorization/ownership.js';
import { CONFIG, type Config } from '../config/load.js';
import type { StartRequest } from '../generated/gatehouse/runner/v1/StartRequest.js';
import type { StartResponse__Output } from '../generated/gatehouse/runner/v1/StartResponse.js';
import type { AuditMetadata } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK, RUNNER_ID } from '../kernel/tokens.js';
import { RunnerClient } from '../runner-link/runner-client.js';
import type { StartCommand } from './pty.schema.js';
import { contentOf, RequestHash } from './request-hash.js';
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

/** Has the runner start a session, and answers what it says of it. */
export type Launch = (request: StartRequest) => Promise<Partial<StartResponse__Output>>;

/** Of a session that is more than its command, such as an agent's. */
export interface StartedAs {
  /** Its id, chosen beforehand. */
  readonly id?: string;
  readonly launch?: Launch;
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
    private readonly authorization: AuthorizationService,
    private readonly ownership: OwnershipRegistry,
    private readonly metrics: TerminalMetrics,
    @Inject(RUNNER_ID) private readonly runnerId: string,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Starts a session. With a `request_id` there is one for all calls of the same principal that bring it, on any gateway,
   * as long as it is remembered; a start that failed is as if it had not been. In a worktree it needs `worktree:write`: a
   * program changes what it likes there.
   * @throws DomainError SESSION_LIMIT, START_FAILED, RUNNER_UNAVAILABLE, also when the first of these calls is not over in
   *   time; INVALID_ARGUMENT for times that are not permitted; IDEMPOTENCY_CONFLICT when the request id came with another
   *   request; NOT_FOUND, PERMISSION_DENIED and WORKTREE_NOT_READY for the worktree
   */
  async start(context: CallerContext, command: StartCommand): Promise<StartedView> {
    const { worktree_id: worktree } = command;
    if (worktree !== undefined) {
      const resource = await this.ownership.resolve('worktree', worktree, context);
      if (resource === null) this.authorization.refuseUnknown(context, 'worktree:write', 'worktree', worktree);
      this.authorization.admit(context, 'worktree:write', resource);
    }
    return this.startPermitted(context, command);
  }

  /** The same for who is known to be allowed to start it where it is started: in a worktree that was just made, say. */
  async startPermitted(
    context: CallerContext,
    command: StartCommand,
    { id, launch = (request) => this.runner.start(request) }: StartedAs = {},
  ): Promise<StartedView> {
    for (;;) {
      const row = this.#newRow(context, command, id);
      const first = await this.store.insert(row);
      if (first === null) return this.#run(row, command, launch);
      this.#requireSame(first, command);
      const settled = await this.#settled(first);
      if (settled !== null) return { ...toView(settled), idempotent_replay: true };
    }
  }

  async #run(row: SessionEntity, command: StartCommand, launch: Launch): Promise<SessionView> {
    const began = performance.now();
    try {
      const {
        session,
        command: argv,
        cwd,
      } = await launch({
        id: row.id,
        command: command.command,
        // Of a worktree it is known since the row was inserted.
        ...(row.cwd === '' ? {} : { cwd: row.cwd }),
        ...(row.worktreeId === null ? {} : { worktree_id: row.worktreeId }),
        sandbox: this.config.SANDBOX,
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
    if (this.requests.matches(first.requestHash, by, contentOf(command))) return;
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

  #newRow({ principal }: CallerContext, command: StartCommand, id = newId()): SessionEntity {
    const owner = {
      tenant: principal.tenant,
      ownerProvider: principal.provider,
      ownerSubject: principal.subject,
    };
    const { request_id: requestId = null } = command;
    return {
      id,
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
      requestHash: requestId === null ? null : this.requests.of({ ...owner, requestId }, contentOf(command)),
      worktreeId: command.worktree_id ?? null,
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
