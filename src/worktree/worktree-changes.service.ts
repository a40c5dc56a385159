import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { ChangeFeed } from '../database/change-feed.js';
import type { IntegrateResponse__Output } from '../generated/gatehouse/runner/v1/IntegrateResponse.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { SessionStore } from '../pty/session-store.js';
import { RunnerWorktreeClient } from '../runner-link/runner-worktree-client.js';
import { authorOf } from './author.js';
import { WorktreeAccess } from './worktree-access.js';
import type { CommitCommand, DiscardCommand, IntegrateCommand, PathsCommand, PushCommand } from './worktree.schema.js';

export interface CommittedView {
  readonly commit: string;
}

export interface PushedView {
  readonly remote: string;
  readonly branch: string;
  readonly commit: string;
}

const RESULTS = ['up_to_date', 'done', 'conflict'] as const;

/** What came of a merge or rebase; with `conflict` the worktree is as it was before. */
export interface IntegratedView {
  readonly result: (typeof RESULTS)[number];
  readonly head: string;
  readonly conflicts: readonly string[];
}

/** What changes a worktree, on any transport. Each is told to those who watch the worktree. */
@Injectable()
export class WorktreeChangesService {
  constructor(
    private readonly access: WorktreeAccess,
    private readonly runner: RunnerWorktreeClient,
    private readonly sessions: SessionStore,
    private readonly changes: ChangeFeed,
    private readonly logger: PinoLogger,
  ) {}

  stage(context: CallerContext, { id, paths }: PathsCommand): Promise<void> {
    return this.#change(context, id, () => this.runner.stage({ id, paths }));
  }

  unstage(context: CallerContext, { id, paths }: PathsCommand): Promise<void> {
    return this.#change(context, id, () => this.runner.unstage({ id, paths }));
  }

  discard(context: CallerContext, { id, path }: DiscardCommand): Promise<void> {
    return this.#change(context, id, () => this.runner.discard(id, path));
  }

  /** @throws DomainError NOTHING_TO_COMMIT; INVALID_ARGUMENT when the session is none of this worktree */
  async commit(context: CallerContext, command: CommitCommand): Promise<CommittedView> {
    const { id, message, all, session_id: session } = command;
    const { name, email } = authorOf(context.principal);
    if (session !== undefined) await this.#requireSession(context, id, session);
    const trailer = session === undefined ? `Gatehouse-Worktree: ${id}` : `Gatehouse-Session: ${session}`;
    const { commit = '' } = await this.#change(context, id, () =>
      this.runner.commit({ id, message, all, author_name: name, author_email: email, trailers: [trailer] }),
    );
    return { commit };
  }

  /** @throws DomainError REMOTE_REJECTED, REMOTE_UNREACHABLE */
  async push(context: CallerContext, { id, remote }: PushCommand): Promise<PushedView> {
    const pushed = await this.#change(context, id, () => this.runner.push({ id, remote }));
    return { remote: pushed.remote ?? remote, branch: pushed.branch ?? '', commit: pushed.commit ?? '' };
  }

  merge(context: CallerContext, command: IntegrateCommand): Promise<IntegratedView> {
    return this.#integrate(context, command, 'merge');
  }

  rebase(context: CallerContext, command: IntegrateCommand): Promise<IntegratedView> {
    return this.#integrate(context, command, 'rebase');
  }

  async #integrate(
    context: CallerContext,
    { id, base_ref }: IntegrateCommand,
    mode: 'merge' | 'rebase',
  ): Promise<IntegratedView> {
    const { name, email } = authorOf(context.principal);
    const base = base_ref === undefined ? {} : { base_ref };
    return integrated(
      await this.#change(context, id, () =>
        this.runner.integrate({ id, mode, ...base, author_name: name, author_email: email }),
      ),
    );
  }

  async #change<T>(context: CallerContext, id: string, act: () => Promise<T>): Promise<T> {
    await this.access.ready(context, id);
    const result = await act();
    // It is done: that nobody could be told does not undo it.
    await this.changes.tell('worktree', id).catch((error: unknown) => {
      this.logger.warn({ err: error, worktree: id }, 'a change of a worktree could not be told to those who watch');
    });
    return result;
  }

  async #requireSession({ principal }: CallerContext, id: string, session: string): Promise<void> {
    const row = await this.sessions.find(principal.tenant, session);
    if (row?.worktreeId === id) return;
    const problem = 'not a session of this worktree';
    throw new DomainError('INVALID_ARGUMENT', `session_id: ${problem}`, {
      details: { fields: [{ field: 'session_id', problem }] },
    });
  }
}

/** @throws DomainError INTERNAL_ERROR for a result that there is not */
function integrated({ result, head = '', conflicts = [] }: IntegrateResponse__Output): IntegratedView {
  const known = RESULTS.find((each) => each === result);
  if (known === undefined) throw new DomainError('INTERNAL_ERROR', 'The runner gave no result.');
  return { result: known, head, conflicts };
}
