import { Inject, Injectable } from '@nestjs/common';
import { type EntityManager, In, IsNull, Not } from 'typeorm';
import type { Resource } from '../authorization/policy.js';
import { CONFIG, type Config } from '../config/load.js';
import { ChangeFeed } from '../database/change-feed.js';
import { TenantScope } from '../database/tenant-scope.js';
import { DomainError } from '../kernel/errors.js';
import { isId } from '../kernel/ids.js';
import type { Principal } from '../kernel/principal.js';
import { AgentEntity } from './agent.entity.js';
import type { ListCommand } from './agent.schema.js';
import { isEnded, type Reported } from './reported-state.js';

/** First key of the advisory lock that serialises the counting of one tenant's agents. */
const LIMIT_LOCK = 0x67617469;
/** How long agents that ended stay, to be looked at and taken up again. */
const RETENTION = '7 days';

/** What a resumed agent begins with. */
export type Resumed = Pick<AgentEntity, 'sessionId' | 'cols' | 'rows'> & { readonly at: Date };

/** An agent as it is now, and as it was before a report. */
export interface Applied {
  readonly before: AgentEntity;
  readonly after: AgentEntity;
}

/** The `agents` table. Every query of a caller's carries the tenant; every change is told to all gateways. */
@Injectable()
export class AgentStore {
  constructor(
    private readonly scope: TenantScope,
    private readonly feed: ChangeFeed,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Whose agent this is, for the policy; null when this tenant has no such agent. */
  async owner(tenant: string, id: unknown): Promise<Resource | null> {
    if (!isId(id)) return null;
    const row = await this.find(tenant, id);
    return row === null ? null : toResource(row);
  }

  async find(tenant: string, id: string): Promise<AgentEntity | null> {
    return this.scope.within(tenant, (manager) => manager.findOneBy(AgentEntity, { tenant, id }));
  }

  /** The same, whosever it is. */
  async look(id: string): Promise<AgentEntity | null> {
    return this.scope.system((manager) => manager.findOneBy(AgentEntity, { id }));
  }

  /** The agent whose terminal that session is, whosever it is. */
  async ofSession(sessionId: string): Promise<AgentEntity | null> {
    return this.scope.system((manager) => manager.findOneBy(AgentEntity, { sessionId }));
  }

  /**
   * Adds an agent that starts, if the limits leave room and nobody else is in its worktree.
   * @param alone whether it is to be the only one in its worktree
   * @returns null; or the agent that is there already under the same request id, and then none was added
   * @throws DomainError AGENT_LIMIT; AGENT_STILL_RUNNING when another one runs in the worktree
   */
  async insert(row: AgentEntity, alone: boolean): Promise<AgentEntity | null> {
    return this.scope.within(row.tenant, async (manager) => {
      await this.#lock(manager, row.tenant);
      const { tenant, ownerProvider, ownerSubject, requestId } = row;
      const known =
        requestId === null
          ? null
          : await manager.findOneBy(AgentEntity, { tenant, ownerProvider, ownerSubject, requestId });
      if (known !== null) return known;
      await this.#requireRoom(manager, row, alone);
      await manager.insert(AgentEntity, row);
      await this.feed.tell('agent', row.id, manager);
      return null;
    });
  }

  /**
   * An ended agent starts again: the same row with another session.
   * @returns the row as it is then; null when it has not ended, or was taken up by somebody else
   * @throws DomainError AGENT_LIMIT, AGENT_STILL_RUNNING as for a new one
   */
  async resume(row: AgentEntity, { sessionId, cols, rows, at }: Resumed): Promise<AgentEntity | null> {
    const { tenant, id } = row;
    const changes: Partial<AgentEntity> = {
      ...{ sessionId, cols, rows, state: 'starting', source: 'process', confidence: 'high', revision: 0 },
      ...{ prompt: null, exitCode: null, signal: null, failure: null, notApplied: [] },
      ...{ resumes: row.resumes + 1, changedAt: at, endedAt: null },
    };
    return this.scope.within(tenant, async (manager) => {
      await this.#lock(manager, tenant);
      await this.#requireRoom(manager, row, true);
      const ended = { tenant, id, sessionId: row.sessionId, endedAt: Not(IsNull()) };
      const { affected } = await manager.update(AgentEntity, ended, changes);
      await this.feed.tell('agent', id, manager);
      return affected === 1 ? Object.assign(new AgentEntity(), row, changes) : null;
    });
  }

  /** A resume that did not start: the agent is as it was before. */
  async putBack(before: AgentEntity, { sessionId }: AgentEntity): Promise<void> {
    const { tenant, id } = before;
    await this.scope.within(tenant, async (manager) => {
      await manager.update(AgentEntity, { tenant, id, sessionId }, before);
      await this.feed.tell('agent', id, manager);
    });
  }

  /** Records the worktree of one that starts. @returns false when it has ended meanwhile */
  async placed({ tenant, id, worktreeId }: AgentEntity): Promise<boolean> {
    const { affected } = await this.scope.within(tenant, (manager) =>
      manager.update(AgentEntity, { tenant, id, endedAt: IsNull() }, { worktreeId }),
    );
    return affected === 1;
  }

  async remove({ tenant, id }: AgentEntity): Promise<void> {
    await this.scope.within(tenant, async (manager) => {
      await manager.delete(AgentEntity, { tenant, id });
      await this.feed.tell('agent', id, manager);
    });
  }

  /** What could not be applied to it is known once it runs. */
  async setNotApplied({ tenant, id }: AgentEntity, notApplied: string[]): Promise<void> {
    await this.scope.within(tenant, (manager) => manager.update(AgentEntity, { tenant, id }, { notApplied }));
  }

  /**
   * Records what is known of the agent of a session, unless something newer is, or it has ended: states of the end are final.
   * @returns the agent before and after; null when nothing changed
   */
  async apply(sessionId: string, reported: Partial<Reported> & Pick<Reported, 'state'>): Promise<Applied | null> {
    return this.scope.system(async (manager) => {
      const before = await manager.findOne(AgentEntity, { where: { sessionId }, lock: { mode: 'pessimistic_write' } });
      if (before === null || isEnded(before.state)) return null;
      if (reported.revision !== undefined && reported.revision <= before.revision) return null;
      const { resumeId } = reported;
      const changes = { ...reported, resumeId: resumeId ?? before.resumeId };
      await manager.update(AgentEntity, { id: before.id }, changes);
      await this.feed.tell('agent', before.id, manager);
      return { before, after: Object.assign(new AgentEntity(), before, changes) };
    });
  }

  /** A page of one tenant's agents, newest first; of those of one principal when given. */
  async list(
    tenant: string,
    of: Principal | null,
    { state, worktree_id, limit, cursor }: ListCommand,
  ): Promise<AgentEntity[]> {
    return this.scope.within(tenant, (manager) => {
      const query = manager.createQueryBuilder(AgentEntity, 'a').where('a.tenant = :tenant', { tenant });
      if (of !== null) {
        const { provider, subject } = of;
        query.andWhere('a.owner_provider = :provider AND a.owner_subject = :subject', { provider, subject });
      }
      if (state !== undefined) query.andWhere('a.state = :state', { state });
      if (worktree_id !== undefined) query.andWhere('a.worktree_id = :worktree', { worktree: worktree_id });
      if (cursor !== undefined) query.andWhere('a.id < :cursor', { cursor });
      return query.orderBy('a.id', 'DESC').take(limit).getMany();
    });
  }

  /** The agents of one runner that this table believes to run. */
  async live(runner: string): Promise<AgentEntity[]> {
    return this.scope.system((manager) => manager.findBy(AgentEntity, { runner, endedAt: IsNull() }));
  }

  /** Those of these sessions whose agent has not ended. */
  async stillLive(sessionIds: readonly string[]): Promise<AgentEntity[]> {
    return this.scope.system((manager) =>
      manager.findBy(AgentEntity, { sessionId: In(sessionIds), endedAt: IsNull() }),
    );
  }

  /** How many agents of one runner are in which state, by provider. */
  async countLive(runner: string): Promise<{ provider: string; state: string; count: number }[]> {
    return this.scope.system((manager) =>
      manager.query(
        'SELECT provider, state, count(*)::int AS count FROM agents WHERE runner = $1 AND ended_at IS NULL GROUP BY 1, 2',
        [runner],
      ),
    );
  }

  /** Forgets agents that ended longer ago than they stay. */
  async sweep(): Promise<void> {
    await this.scope.system((manager) =>
      manager.query(`DELETE FROM agents WHERE ended_at < now() - interval '${RETENTION}'`),
    );
  }

  async #lock(manager: EntityManager, tenant: string): Promise<void> {
    await manager.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LIMIT_LOCK, tenant]);
  }

  async #requireRoom(manager: EntityManager, row: AgentEntity, alone: boolean): Promise<void> {
    const tenant = { tenant: row.tenant, endedAt: IsNull() };
    const mine = { ...tenant, ownerProvider: row.ownerProvider, ownerSubject: row.ownerSubject };
    const { AGENTS_PER_USER: perUser, AGENTS_PER_TENANT: perTenant } = this.config;
    if ((await manager.countBy(AgentEntity, mine)) >= perUser) {
      throw new DomainError('AGENT_LIMIT', `You have ${perUser} agents already, as many as are allowed.`);
    }
    if ((await manager.countBy(AgentEntity, tenant)) >= perTenant) {
      throw new DomainError('AGENT_LIMIT', `Your tenant has ${perTenant} agents already, as many as are allowed.`);
    }
    const { worktreeId } = row;
    if (!alone || worktreeId === null) return;
    if (await manager.existsBy(AgentEntity, { ...tenant, worktreeId })) {
      throw new DomainError('AGENT_STILL_RUNNING', 'An agent runs in this worktree; share_worktree starts another.');
    }
  }
}

/** Whose it is, for the policy. */
export const toResource = ({ id, tenant, ownerProvider, ownerSubject }: AgentEntity): Resource => ({
  ...{ kind: 'agent', id, tenant, ownerProvider, ownerSubject, shares: [] },
});
