import { Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import type { RemoveWorktreeResponse__Output } from '../generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import { type AuditMetadata, AuditTrail } from '../kernel/audit.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { PtyService } from '../pty/pty.service.js';
import type { SessionEntity } from '../pty/session.entity.js';
import { SessionStore } from '../pty/session-store.js';
import { isUnknownOutcome } from '../runner-link/control-call.js';
import { RunnerWorktreeClient } from '../runner-link/runner-worktree-client.js';
import { stakeOf, wouldLose } from './at-stake.js';
import { rescueFacts } from './rescue-facts.js';
import { WorktreeAccess } from './worktree-access.js';
import { type TeardownView, WorktreeCommands } from './worktree-commands.js';
import type { WorktreeEntity } from './worktree.entity.js';
import type { RemoveCommand } from './worktree.schema.js';
import { WorktreeStore } from './worktree-store.js';
import { toView, type WorktreeView } from './worktree-view.js';

/** The worktree as it was removed. */
export interface RemovedView extends WorktreeView {
  readonly branch_deleted: boolean;
  readonly teardown: TeardownView | null;
}

/** Removes worktrees, and never work with them that nobody said may go. */
@Injectable()
export class WorktreeRemovalService {
  constructor(
    private readonly store: WorktreeStore,
    private readonly access: WorktreeAccess,
    private readonly runner: RunnerWorktreeClient,
    private readonly commands: WorktreeCommands,
    private readonly sessions: SessionStore,
    private readonly pty: PtyService,
    private readonly authorization: AuthorizationService,
    private readonly audit: AuditTrail,
  ) {}

  /**
   * Removes a worktree. By force its sessions are ended first, and what would be lost is put aside. The repository's
   * teardown command runs before; when it fails, that is told, and the worktree is removed all the same.
   * @throws DomainError WOULD_LOSE_WORK, whose `details.at_stake` lists what; CONFIRMATION_REQUIRED when `confirm` is not the
   *   name; PERMISSION_DENIED when a session in it is not the caller's to end; WORKTREE_NOT_READY
   */
  async remove(context: CallerContext, command: RemoveCommand): Promise<RemovedView> {
    const row = await this.access.ready(context, command.id);
    await this.#check(context, row, command).catch((error: unknown) => {
      this.#noteRefused(context, row, error);
      throw error;
    });
    const { force, delete_branch } = command;
    return this.audit.outcome(
      context,
      {
        action: 'worktree.remove',
        resource: `worktree:${row.id}`,
        facts: { force, delete_branch },
        metadata: removeFacts,
      },
      () => this.#remove(context, row, command),
    );
  }

  /** What can be said before anything is done; a teardown is not run for a removal that is refused. */
  async #check(context: CallerContext, row: WorktreeEntity, { force, confirm }: RemoveCommand): Promise<void> {
    const live = await this.sessions.liveIn(row.tenant, row.id);
    if (force) {
      if (confirm !== row.name) {
        throw new DomainError('CONFIRMATION_REQUIRED', 'To remove it by force, confirm with the name of the worktree.');
      }
      for (const session of live) this.#requireKill(context, session);
      return;
    }
    const answer = await this.runner.remove({ id: row.id, dry_run: true });
    const stake = stakeOf(
      live.map(({ id }) => id),
      answer,
    );
    if (stake.items.length > 0) throw wouldLose(stake);
  }

  /** That a session lives in his worktree is nothing that its owner may not know. */
  #requireKill(context: CallerContext, session: SessionEntity): void {
    try {
      this.authorization.require(context, 'pty:kill', resourceOf(session));
    } catch (error) {
      throw new DomainError('PERMISSION_DENIED', `The session ${session.id} in it is not yours to end.`, {
        cause: error,
      });
    }
  }

  async #remove(context: CallerContext, row: WorktreeEntity, command: RemoveCommand): Promise<RemovedView> {
    const { tenant, id } = row;
    if (command.force) await this.#endSessions(context, row);
    const teardown = await this.commands.teardown(context, row);
    // A session may have come meanwhile. From here on none does.
    const sessions = await this.store.beginRemoval(tenant, id);
    if (sessions.length > 0) throw this.#late(context, row, stakeOf(sessions, {}));
    const { force, delete_branch } = command;
    const answer = await this.#ask(row, { id, force, delete_branch });
    if (answer.removed !== true) {
      await this.#keep(row);
      throw this.#late(context, row, stakeOf([], answer));
    }
    const removed = await this.store.markRemoved(row, rescueFacts(answer.rescue));
    const { branch_deleted = false } = answer;
    return { ...toView(removed ?? (await this.access.find(context, id))), branch_deleted, teardown };
  }

  /** Where it is not known whether the runner removed it, the row stays as it is: it is settled when the runner tells. */
  async #ask(
    row: WorktreeEntity,
    request: { readonly id: string; readonly force: boolean; readonly delete_branch: boolean },
  ): Promise<RemoveWorktreeResponse__Output> {
    try {
      return await this.runner.remove(request);
    } catch (error) {
      if (!isUnknownOutcome(error)) await this.#keep(row);
      throw error;
    }
  }

  /** It was not removed. A removal that failed half-way is no `ready` worktree: it is settled when the runner is through. */
  async #keep(row: WorktreeEntity): Promise<void> {
    // Why it was not removed is what the caller has to know, whatever comes of this.
    const worktrees = await this.runner.list().catch(() => []);
    if (worktrees.some(({ id, state }) => id === row.id && state === 'ready')) await this.store.markKept(row);
  }

  async #endSessions(context: CallerContext, { tenant, id: worktree }: WorktreeEntity): Promise<void> {
    for (const { id } of await this.sessions.liveIn(tenant, worktree)) {
      const facts = { action: 'pty.kill', resource: `session:${id}`, metadata: { worktree } } as const;
      await this.audit.outcome(context, facts, async () => {
        await this.pty.kill(context, { id }).catch((error: unknown) => {
          // It ended by itself.
          if (!(error instanceof DomainError && error.code === 'SESSION_ENDED')) throw error;
        });
      });
    }
  }

  /** Refused by what came between the first look and the removal. */
  #late(context: CallerContext, row: WorktreeEntity, stake: Parameters<typeof wouldLose>[0]): DomainError {
    const error = wouldLose(stake);
    this.#noteRefused(context, row, error);
    return error;
  }

  #noteRefused(context: CallerContext, { id }: WorktreeEntity, error: unknown): void {
    if (!(error instanceof DomainError)) return;
    const { code: reason, details } = error;
    if (reason !== 'WOULD_LOSE_WORK' && reason !== 'CONFIRMATION_REQUIRED') return;
    const stake = details?.at_stake ?? [];
    const kinds = [...new Set(stake.map(({ kind }) => kind))];
    this.audit.note(context, {
      ...{ action: 'worktree.remove_refused', resource: `worktree:${id}`, success: false, reason },
      metadata: { at_stake: stake.length, kinds },
    });
  }
}

const removeFacts = ({ rescue, branch_deleted, teardown }: RemovedView): AuditMetadata => ({
  branch_deleted,
  ...(rescue === null ? {} : { rescue: rescue.id }),
  ...(teardown === null ? {} : { teardown_failure: teardown.failure }),
});

const resourceOf = ({ id, tenant, ownerProvider, ownerSubject }: SessionEntity) => ({
  ...{ kind: 'session', id, tenant, ownerProvider, ownerSubject },
  shares: [],
});
