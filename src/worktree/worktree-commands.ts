import { setTimeout } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { CONFIG, type Config } from '../config/load.js';
import { AuditTrail } from '../kernel/audit.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { startSchema } from '../pty/pty.schema.js';
import type { SessionEntity } from '../pty/session.entity.js';
import { SessionStarts } from '../pty/session-starts.js';
import { SessionStore } from '../pty/session-store.js';
import type { SessionView } from '../pty/session-view.js';
import type { WorktreeEntity } from './worktree.entity.js';
import { WorktreeStore } from './worktree-store.js';

/** How long a teardown command may run, seconds. */
export const TEARDOWN_SECONDS = 60;
/** And how much longer its end may take: a program that is killed has five seconds. */
const END_SECONDS = 15;
const LOOK_EVERY_MS = 100;
const MAX_NAME = 100;

/** How a teardown command went. */
export interface TeardownView {
  readonly session_id: string | null;
  readonly exit_code: number | null;
  /** Why it did not run to its end: an error code, or the reason of the session's end. */
  readonly failure: string | null;
}

/** The commands that come with a worktree: each runs in it as a session of the caller's, who needs `pty:create` for it. */
@Injectable()
export class WorktreeCommands {
  constructor(
    private readonly starts: SessionStarts,
    private readonly sessions: SessionStore,
    private readonly store: WorktreeStore,
    private readonly authorization: AuthorizationService,
    private readonly audit: AuditTrail,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Starts the setup command, if there is one. One that cannot be started is on record in the row. */
  async setup(context: CallerContext, row: WorktreeEntity): Promise<void> {
    if (row.setup.length === 0) return;
    try {
      const { id } = await this.#start(context, row, 'setup');
      await this.store.setSetup(row, id, null);
    } catch (error) {
      await this.store.setSetup(row, null, codeOf(error));
    }
  }

  /** Runs the teardown command to its end, at most {@link TEARDOWN_SECONDS}. @returns null when there is none */
  async teardown(context: CallerContext, row: WorktreeEntity): Promise<TeardownView | null> {
    if (row.teardown.length === 0) return null;
    try {
      const { id } = await this.#start(context, row, 'teardown');
      const end = await this.#end(row.tenant, id);
      const { exitCode = null, reason = 'still_running' } = end ?? {};
      return { session_id: id, exit_code: exitCode, failure: reason === 'exited' && exitCode === 0 ? null : reason };
    } catch (error) {
      return { session_id: null, exit_code: null, failure: codeOf(error) };
    }
  }

  /** @throws DomainError PERMISSION_DENIED, and what a start is refused with */
  async #start(context: CallerContext, row: WorktreeEntity, purpose: 'setup' | 'teardown'): Promise<SessionView> {
    this.authorization.admit(context, 'pty:create', null);
    const start = async (): Promise<SessionView> =>
      this.starts.startPermitted(context, commandOf(row, purpose, this.config.SESSION_MAX_DURATION_SECONDS));
    return this.audit.outcome(
      context,
      { action: 'pty.start', resource: ({ id }) => `session:${id}`, metadata: { worktree: row.id, purpose } },
      start,
    );
  }

  /** The session once it has ended; null when that takes too long. */
  async #end(tenant: string, id: string): Promise<SessionEntity | null> {
    const deadline = performance.now() + (TEARDOWN_SECONDS + END_SECONDS) * 1000;
    while (performance.now() < deadline) {
      const session = await this.sessions.find(tenant, id);
      if (session === null || session.endedAt !== null) return session;
      await setTimeout(LOOK_EVERY_MS);
    }
    return null;
  }
}

/** @throws DomainError START_FAILED when what the repository's file says is no command */
function commandOf(row: WorktreeEntity, purpose: 'setup' | 'teardown', maxSeconds: number) {
  const parsed = startSchema.safeParse({
    name: `${purpose} ${row.name}`.slice(0, MAX_NAME),
    command: row[purpose],
    worktree_id: row.id,
    ...(purpose === 'teardown' ? { max_duration_seconds: Math.min(TEARDOWN_SECONDS, maxSeconds) } : {}),
  });
  if (!parsed.success) throw new DomainError('START_FAILED', `The ${purpose} command cannot be run.`);
  return parsed.data;
}

const codeOf = (error: unknown): string => (error instanceof DomainError ? error.code : 'INTERNAL_ERROR');
