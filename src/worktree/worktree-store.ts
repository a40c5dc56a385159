import { Inject, Injectable } from '@nestjs/common';
import { type EntityManager, In, IsNull } from 'typeorm';
import type { Resource } from '../authorization/policy.js';
import { CONFIG, type Config } from '../config/load.js';
import { ChangeFeed } from '../database/change-feed.js';
import { TenantScope } from '../database/tenant-scope.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { isId } from '../kernel/ids.js';
import type { Principal } from '../kernel/principal.js';
import { CLOCK } from '../kernel/tokens.js';
import { SessionEntity } from '../pty/session.entity.js';
import { WorktreeEntity, type WorktreeState } from './worktree.entity.js';
import type { ListCommand, RescuesCommand } from './worktree.schema.js';
import { toResource } from './worktree-view.js';

/** First key of the advisory lock that serialises the counting of one tenant's worktrees. */
const LIMIT_LOCK = 0x67617469;
/** How long those that are no more stay readable; with a rescue, as long as that is kept. */
const RETENTION = '24 hours';
/** Sessions that a refused removal names. */
const MAX_SESSIONS = 100;

/** What a row is found by: on behalf of a caller with its tenant, null where the server works by itself. */
export interface WorktreeKey {
  readonly tenant: string | null;
  readonly id: string;
}

/** What is known of a worktree once it is there. */
export type MadeFacts = Pick<
  WorktreeEntity,
  'repository' | 'path' | 'branch' | 'baseRef' | 'baseCommit' | 'adoptedBranch'
> &
  Partial<Pick<WorktreeEntity, 'setup' | 'teardown' | 'setupFailure'>>;

/** Where a forced removal has put what would have been lost. */
export type RescueFacts = Pick<WorktreeEntity, 'rescueId' | 'rescueRef' | 'rescueUntil'>;

/** The `worktrees` table. Every query of a caller's carries the tenant; every change is told to those who watch. */
@Injectable()
export class WorktreeStore {
  constructor(
    private readonly scope: TenantScope,
    private readonly changes: ChangeFeed,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Whose worktree this is, for the policy; null when this tenant has no such worktree. */
  async owner(tenant: string, id: unknown): Promise<Resource | null> {
    if (!isId(id)) return null;
    const row = await this.find(tenant, id);
    return row === null ? null : toResource(row);
  }

  async find(tenant: string, id: string): Promise<WorktreeEntity | null> {
    return this.scope.within(tenant, (manager) => manager.findOneBy(WorktreeEntity, { tenant, id }));
  }

  /** The same, whosever it is: for what is decided on afterwards. */
  async look(id: string): Promise<WorktreeEntity | null> {
    return this.scope.system((manager) => manager.findOneBy(WorktreeEntity, { id }));
  }

  /**
   * Adds a worktree in state `creating`, if the limits of its owner and tenant leave room.
   * @returns null; or the worktree that is there already under the same request id, and then none was added
   * @throws DomainError WORKTREE_LIMIT
   */
  async insert(row: WorktreeEntity): Promise<WorktreeEntity | null> {
    return this.scope.within(row.tenant, async (manager) => {
      await manager.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LIMIT_LOCK, row.tenant]);
      const { tenant, ownerProvider, ownerSubject, requestId } = row;
      if (requestId !== null) {
        const known = await manager.findOneBy(WorktreeEntity, { tenant, ownerProvider, ownerSubject, requestId });
        if (known !== null) return known;
      }
      await this.#checkLimits(manager, row);
      await manager.insert(WorktreeEntity, row);
      await this.changes.tell('worktree', row.id, manager);
      return null;
    });
  }

  /** It is there. @returns it; null when it was settled otherwise meanwhile */
  markReady(key: WorktreeKey, facts: MadeFacts): Promise<WorktreeEntity | null> {
    return this.#move(key, 'creating', { ...facts, state: 'ready' });
  }

  /** It was not made; its request id is given up, so that the request can be repeated. */
  markFailed(key: WorktreeKey, failure: string): Promise<WorktreeEntity | null> {
    const given = { requestId: null, requestHash: null };
    return this.#move(key, 'creating', { state: 'failed', failure, ...given, removedAt: this.#now() });
  }

  /** A removal was refused, or failed: it is there as before. */
  markKept(key: WorktreeKey): Promise<WorktreeEntity | null> {
    return this.#move(key, 'removing', { state: 'ready' });
  }

  markRemoved(key: WorktreeKey, rescue: RescueFacts | null): Promise<WorktreeEntity | null> {
    return this.#move(key, 'removing', { state: 'removed', removedAt: this.#now(), ...rescue });
  }

  /** Nobody is known to have removed it, and it is not there any more. @param rescue what is kept of it all the same */
  markLost(key: WorktreeKey, rescue: RescueFacts | null): Promise<WorktreeEntity | null> {
    return this.#move(key, 'ready', { state: 'lost', removedAt: this.#now(), ...rescue });
  }

  /** One that was lost is there again. */
  markFound(key: WorktreeKey): Promise<WorktreeEntity | null> {
    return this.#move(key, 'lost', { state: 'ready', removedAt: null });
  }

  /** How its setup command was started, or why it was not. */
  async setSetup({ tenant, id }: WorktreeEntity, session: string | null, failure: string | null): Promise<void> {
    await this.scope.within(tenant, async (manager) => {
      await manager.update(WorktreeEntity, { tenant, id }, { setupSessionId: session, setupFailure: failure });
      await this.changes.tell('worktree', id, manager);
    });
  }

  /**
   * Begins the removal of a worktree in which nothing runs; from then on nothing is started in it.
   * @returns the sessions that run in it, and then it was not begun
   * @throws DomainError NOT_FOUND, WORKTREE_NOT_READY
   */
  async beginRemoval(tenant: string, id: string): Promise<readonly string[]> {
    return this.scope.within(tenant, async (manager) => {
      const lock = { mode: 'pessimistic_write' } as const;
      const row = await manager.findOne(WorktreeEntity, { where: { tenant, id }, lock });
      if (row === null) throw new DomainError('NOT_FOUND', 'There is no such resource.');
      if (row.state !== 'ready') throw new DomainError('WORKTREE_NOT_READY', `The worktree is ${row.state}.`);
      const sessions = await manager.find(SessionEntity, {
        select: { id: true },
        where: { tenant, worktreeId: id, endedAt: IsNull() },
        order: { id: 'ASC' },
        take: MAX_SESSIONS,
      });
      if (sessions.length > 0) return sessions.map((session) => session.id);
      await manager.update(WorktreeEntity, { tenant, id }, { state: 'removing', stateAt: this.#now() });
      await this.changes.tell('worktree', id, manager);
      return [];
    });
  }

  /** A page of one tenant's worktrees, newest first; of one principal's when given. */
  async list(tenant: string, of: Principal | null, command: ListCommand): Promise<WorktreeEntity[]> {
    const { state, repository, limit, cursor } = command;
    return this.scope.within(tenant, (manager) => {
      const query = page(manager, tenant, of, { limit, ...(cursor === undefined ? {} : { cursor }) });
      if (state !== undefined) query.andWhere('w.state = :state', { state });
      if (repository !== undefined) query.andWhere('w.repository = :repository', { repository });
      return query.getMany();
    });
  }

  /** A page of those that were removed by force and left something behind. */
  async rescued(tenant: string, of: Principal | null, command: RescuesCommand): Promise<WorktreeEntity[]> {
    return this.scope.within(tenant, (manager) =>
      page(manager, tenant, of, command).andWhere('w.rescue_id IS NOT NULL').getMany(),
    );
  }

  /** Those of one runner that this table believes to be there. */
  async live(runner: string): Promise<WorktreeEntity[]> {
    return this.scope.system((manager) => manager.findBy(WorktreeEntity, { runner, removedAt: IsNull() }));
  }

  /** How many worktrees of one runner there are. */
  async countLive(runner: string): Promise<number> {
    return this.scope.system((manager) => manager.countBy(WorktreeEntity, { runner, removedAt: IsNull() }));
  }

  /** Those of these ids, in whatever state. */
  async known(ids: readonly string[]): Promise<WorktreeEntity[]> {
    return this.scope.system((manager) => manager.findBy(WorktreeEntity, { id: In(ids) }));
  }

  /** Forgets those that are no more for longer than they stay readable. */
  async sweep(): Promise<void> {
    await this.scope.system((manager) =>
      manager.query(`
        DELETE FROM worktrees
        WHERE removed_at < now() - interval '${RETENTION}' AND (rescue_until IS NULL OR rescue_until < now())`),
    );
  }

  /** One step of its life. @returns the row; null when it was not in that state */
  async #move(
    { tenant, id }: WorktreeKey,
    from: WorktreeState,
    change: Partial<WorktreeEntity>,
  ): Promise<WorktreeEntity | null> {
    const work = async (manager: EntityManager): Promise<WorktreeEntity | null> => {
      const row = tenant === null ? { id } : { tenant, id };
      const { affected } = await manager.update(
        WorktreeEntity,
        { ...row, state: from },
        { stateAt: this.#now(), ...change },
      );
      if (affected !== 1) return null;
      await this.changes.tell('worktree', id, manager);
      return manager.findOneBy(WorktreeEntity, row);
    };
    return tenant === null ? this.scope.system(work) : this.scope.within(tenant, work);
  }

  async #checkLimits(manager: EntityManager, row: WorktreeEntity): Promise<void> {
    const tenant = { tenant: row.tenant, removedAt: IsNull() };
    const mine = { ...tenant, ownerProvider: row.ownerProvider, ownerSubject: row.ownerSubject };
    const { WORKTREES_PER_USER: perUser, WORKTREES_PER_TENANT: perTenant } = this.config;
    if ((await manager.countBy(WorktreeEntity, mine)) >= perUser) {
      throw new DomainError('WORKTREE_LIMIT', `You have ${perUser} worktrees already, as many as are allowed.`);
    }
    if ((await manager.countBy(WorktreeEntity, tenant)) >= perTenant) {
      throw new DomainError(
        'WORKTREE_LIMIT',
        `Your tenant has ${perTenant} worktrees already, as many as are allowed.`,
      );
    }
  }

  #now(): Date {
    return new Date(this.clock.now());
  }
}

function page(
  manager: EntityManager,
  tenant: string,
  of: Principal | null,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
) {
  const query = manager.createQueryBuilder(WorktreeEntity, 'w').where('w.tenant = :tenant', { tenant });
  if (of !== null) {
    const { provider, subject } = of;
    query.andWhere('w.owner_provider = :provider AND w.owner_subject = :subject', { provider, subject });
  }
  if (cursor !== undefined) query.andWhere('w.id < :cursor', { cursor });
  return query.orderBy('w.id', 'DESC').take(limit);
}
