import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { AuditTrail } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { systemContext } from '../kernel/request-context.js';
import { CLOCK, RUNNER_ID } from '../kernel/tokens.js';
import { SessionFollower } from '../pty/session-follower.js';
import { LONG_GIT_MS, RunnerWorktreeClient } from '../runner-link/runner-worktree-client.js';
import { madeFacts } from './made-facts.js';
import { RunnerDisk } from './runner-disk.js';
import type { WorktreeEntity } from './worktree.entity.js';
import { WorktreeStore } from './worktree-store.js';

/** A call that makes or removes a worktree is over by then, whichever gateway's it is. */
const CALL_GRACE_MS = LONG_GIT_MS + 30_000;
/** Worktrees on disk of which is remembered that they were told of. */
const MAX_TOLD = 1000;
/** Those of which one line of the log names the ids. */
const MAX_NAMED = 20;

/** What the trail says of a worktree that is not there any more, or is there again. */
type LossFact =
  | { readonly action: 'worktree.remove'; readonly success: false; readonly reason: 'lost' }
  | { readonly action: 'worktree.create'; readonly success: true; readonly reason: 'found' };

/** Keeps the worktrees table true to the runner's disk: when the runner is there, or there again, and every minute. */
@Injectable()
export class WorktreeFollower implements OnModuleInit {
  readonly #told = new Set<string>();

  constructor(
    private readonly store: WorktreeStore,
    private readonly runner: RunnerWorktreeClient,
    private readonly follower: SessionFollower,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
    @Inject(RUNNER_ID) private readonly runnerId: string,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.follower.onReconciled(() => this.reconcile());
  }

  /** The table is read first: what is made in between is on disk alone, and so is never taken for lost. */
  async reconcile(): Promise<void> {
    await this.store.sweep();
    const rows = await this.store.live(this.runnerId);
    const disk = await RunnerDisk.read(this.runner);
    for (const row of rows) await this.#settle(row, disk);
    const live = new Set(rows.map(({ id }) => id));
    await this.#lookAtOthers(
      disk.ids.filter((id) => !live.has(id)),
      disk,
    );
  }

  async #settle(row: WorktreeEntity, disk: RunnerDisk): Promise<void> {
    const worktree = disk.find(row.id);
    // The runner is at it, or finishes it at its next start.
    if (worktree !== undefined && worktree.state !== 'ready') return;
    const key = { tenant: null, id: row.id };
    if (row.state === 'ready') {
      if (worktree !== undefined) return;
      const lost = await this.store.markLost(key, await disk.rescueOf(row.id));
      if (lost !== null) this.#note(row, { action: 'worktree.remove', success: false, reason: 'lost' });
      return;
    }
    if (row.stateAt.getTime() > this.clock.now() - CALL_GRACE_MS) return;
    if (row.state === 'creating') {
      // Its gateway is gone, and so is what it would have run in it.
      if (worktree) await this.store.markReady(key, { ...madeFacts(worktree), setupFailure: 'interrupted' });
      else await this.store.markFailed(key, 'interrupted');
    } else if (worktree === undefined) await this.store.markRemoved(key, await disk.rescueOf(row.id));
    else await this.store.markKept(key);
  }

  /** Of what is on disk though no row believed it to be there. */
  async #lookAtOthers(ids: readonly string[], disk: RunnerDisk): Promise<void> {
    if (ids.length === 0) return;
    const rows = await this.store.known(ids);
    for (const { id, state, runner } of rows) {
      if (runner !== this.runnerId || disk.find(id)?.state !== 'ready') continue;
      if (state === 'lost') await this.#takeBack(id);
      else if (state === 'failed') await this.#removeFailed(id);
    }
    const known = new Set(rows.map(({ id }) => id));
    this.#tellStrangers(ids.filter((id) => !known.has(id)));
  }

  /** The disk was away, say. */
  async #takeBack(id: string): Promise<void> {
    const row = await this.store.markFound({ tenant: null, id });
    if (row !== null) this.#note(row, { action: 'worktree.create', success: true, reason: 'found' });
  }

  /** Its owner was told that it was not made. Where there is work in it nevertheless, it stays. */
  async #removeFailed(id: string): Promise<void> {
    if (this.#told.has(id)) return;
    const failure = await this.runner.remove({ id, delete_branch: true }).then(
      ({ removed }) => (removed === true ? null : 'WOULD_LOSE_WORK'),
      (error: unknown) => (error instanceof DomainError ? error.code : 'INTERNAL_ERROR'),
    );
    // Without an answer it is tried again the next time.
    if (failure === null || failure === 'RUNNER_UNAVAILABLE') return;
    this.#remember([id]);
    this.logger.warn({ worktree: id, failure }, 'a worktree that counts as not made is on disk and is not removed');
  }

  /** Nobody calls here: the event belongs to the worktree's owner and tenant. */
  #note({ id, tenant, ownerProvider, ownerSubject }: WorktreeEntity, fact: LossFact): void {
    this.audit.note(systemContext(), {
      ...{ ...fact, resource: `worktree:${id}`, tenant },
      metadata: { owner: { provider: ownerProvider, subject: ownerSubject } },
    });
  }

  /** What is on disk and in no row is left alone: another installation's, or of a database that was restored. */
  #tellStrangers(ids: readonly string[]): void {
    const strangers = ids.filter((id) => !this.#told.has(id));
    if (strangers.length === 0) return;
    this.#remember(strangers);
    this.logger.warn(
      { worktrees: strangers.slice(0, MAX_NAMED), count: strangers.length },
      'worktrees on disk belong to nobody here; they are left alone',
    );
  }

  #remember(ids: readonly string[]): void {
    if (this.#told.size + ids.length > MAX_TOLD) this.#told.clear();
    for (const id of ids.slice(0, MAX_TOLD)) this.#told.add(id);
  }
}
