import { Inject, Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { LRUCache } from 'lru-cache';
import { type DataSource, type EntityManager, IsNull, LessThan } from 'typeorm';
import type { Resource } from '../authorization/policy.js';
import { CONFIG, type Config } from '../config/load.js';
import { DomainError } from '../kernel/errors.js';
import { isId } from '../kernel/ids.js';
import type { Principal } from '../kernel/principal.js';
import type { ListCommand } from './pty.schema.js';
import { SessionEntity, type SessionState } from './session.entity.js';

/** Owners that are remembered; they never change. */
const MAX_OWNERS = 10_000;
/** First key of the advisory lock that serialises the counting of one tenant's sessions. */
const LIMIT_LOCK = 0x67617467;
/** How long ended sessions stay readable. */
const RETENTION = '24 hours';

/** A session that has not ended as far as is known. */
export type LiveSession = Pick<SessionEntity, 'id' | 'tenant' | 'ownerSubject' | 'state' | 'createdAt'>;

/** How a session ended. */
export interface SessionEnd {
  readonly state: Extract<SessionState, 'exited' | 'killed' | 'lost'>;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly reason: string;
  readonly endedAt: Date;
  /** Its last size, where that is known. */
  readonly cols?: number;
  readonly rows?: number;
}

/** The `sessions` table. Every query of a caller's carries the tenant. */
@Injectable()
export class SessionStore {
  readonly #owners = new LRUCache<string, Resource>({ max: MAX_OWNERS });

  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Whose session this is, for the policy; null when there is none. */
  async owner(id: unknown): Promise<Resource | null> {
    if (!isId(id)) return null;
    const known = this.#owners.get(id);
    if (known) return known;
    const row = await this.#sessions().findOneBy({ id });
    return row ? this.#remember(row) : null;
  }

  async find(tenant: string, id: string): Promise<SessionEntity | null> {
    return this.#sessions().findOneBy({ tenant, id });
  }

  /**
   * Adds a session in state `starting`, if the limits of its owner and tenant leave room.
   * @throws DomainError SESSION_LIMIT
   */
  async insert(row: SessionEntity): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LIMIT_LOCK, row.tenant]);
      await this.#checkLimits(manager, row);
      await manager.insert(SessionEntity, row);
    });
    this.#remember(row);
  }

  /** The session runs, unless its end was recorded already: states only move forward. */
  async markRunning(id: string, facts: Pick<SessionEntity, 'command' | 'cwd' | 'pid' | 'name'>): Promise<void> {
    await this.#sessions().update({ id }, facts);
    await this.#sessions().update({ id, state: 'starting' }, { state: 'running' });
  }

  /** A start that nobody finished: the session runs. False when its state is known already. */
  async adopt(id: string, pid: number): Promise<boolean> {
    const { affected } = await this.#sessions().update({ id, state: 'starting' }, { state: 'running', pid });
    return affected === 1;
  }

  async remove(id: string): Promise<void> {
    await this.#sessions().delete({ id });
    this.#owners.delete(id);
  }

  /** Records an end once: null when it was recorded before, by this gateway or another. */
  async end(id: string, end: SessionEnd): Promise<SessionEntity | null> {
    const { affected } = await this.#sessions().update({ id, endedAt: IsNull() }, end);
    return affected === 1 ? this.#sessions().findOneBy({ id }) : null;
  }

  /** A page of one tenant's sessions, newest first; of one owner's when `owner` is given. */
  async list(tenant: string, owner: Principal | null, { state, limit, cursor }: ListCommand): Promise<SessionEntity[]> {
    return this.#sessions().find({
      where: {
        tenant,
        ...(owner === null ? {} : { ownerProvider: owner.provider, ownerSubject: owner.subject }),
        ...(state === undefined ? {} : { state }),
        ...(cursor === undefined ? {} : { id: LessThan(cursor) }),
      },
      order: { id: 'DESC' },
      take: limit,
    });
  }

  /** The sessions of one runner that this table believes to be alive. */
  async live(runner: string): Promise<LiveSession[]> {
    return this.#sessions().find({
      select: { id: true, tenant: true, ownerSubject: true, state: true, createdAt: true },
      where: { runner, endedAt: IsNull() },
    });
  }

  /** Records the size of a session that lives. */
  async setSize(id: string, cols: number, rows: number): Promise<void> {
    await this.#sessions().update({ id, endedAt: IsNull() }, { cols, rows });
  }

  /** Forgets sessions that ended longer ago than they stay readable. */
  async sweep(): Promise<void> {
    await this.dataSource.query(`DELETE FROM sessions WHERE ended_at < now() - interval '${RETENTION}'`);
  }

  async #checkLimits(manager: EntityManager, row: SessionEntity): Promise<void> {
    const tenant = { tenant: row.tenant, endedAt: IsNull() };
    const mine = { ...tenant, ownerProvider: row.ownerProvider, ownerSubject: row.ownerSubject };
    const { SESSIONS_PER_USER: perUser, SESSIONS_PER_TENANT: perTenant } = this.config;
    if ((await manager.countBy(SessionEntity, mine)) >= perUser) {
      throw new DomainError('SESSION_LIMIT', `You have ${perUser} sessions already, as many as are allowed.`);
    }
    if ((await manager.countBy(SessionEntity, tenant)) >= perTenant) {
      throw new DomainError('SESSION_LIMIT', `Your tenant has ${perTenant} sessions already, as many as are allowed.`);
    }
  }

  #remember({ id, tenant, ownerProvider, ownerSubject }: SessionEntity): Resource {
    const resource: Resource = { kind: 'session', id, tenant, ownerProvider, ownerSubject };
    this.#owners.set(id, resource);
    return resource;
  }

  #sessions() {
    return this.dataSource.getRepository(SessionEntity);
  }
}
