import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { type EntityManager, In, IsNull, LessThanOrEqual, Not } from 'typeorm';
import type { Resource } from '../authorization/policy.js';
import { CONFIG, type Config } from '../config/load.js';
import { SecurityFeed } from '../database/security-feed.js';
import { TenantScope } from '../database/tenant-scope.js';
import type { EventIdentity } from '../kernel/audit.js';
import { DomainError } from '../kernel/errors.js';
import type { Clock } from '../kernel/clock.js';
import { isId } from '../kernel/ids.js';
import type { Principal } from '../kernel/principal.js';
import { CLOCK } from '../kernel/tokens.js';
import type { ListCommand } from './pty.schema.js';
import { SessionEntity, type SessionState } from './session.entity.js';
import { SessionShareEntity } from './session-share.entity.js';
import { folderOf } from './session-place.js';

/** Sessions of which is remembered whose they are, and with whom they are shared. */
const MAX_OWNERS = 10_000;
/** First key of the advisory lock that serialises the counting of one tenant's sessions. */
const LIMIT_LOCK = 0x67617467;
/** First key of the advisory lock that serialises the counting of one session's shares. */
const SHARE_LOCK = 0x67617468;
/** Subjects and groups that one session is shared with at most. */
const MAX_SHARES = 50;
/** Live sessions of one worktree that are looked at. */
export const MAX_LIVE_IN = 1000;
/** Why a session was ended that had started and could not be recorded. */
export const START_FAILED = 'start_failed';
/** Ends that are looked for at once, of which the trail may not know. */
const MAX_UNTOLD = 500;
/** How long ended sessions stay readable. */
const RETENTION = '24 hours';
/** What of a session `s` somebody sees in the list: his own, and what is shared with him or his groups. */
const OWN_OR_SHARED = `(s.owner_provider = :provider AND s.owner_subject = :subject) OR EXISTS (
  SELECT 1 FROM session_shares h
  WHERE h.session_id = s.id AND h.grantee_provider = :provider AND (h.expires_at IS NULL OR h.expires_at > :now)
    AND (h.grantee_kind = 'subject' AND h.grantee = :subject OR h.grantee_kind = 'group' AND h.grantee = ANY (:groups)))`;

/** A session that has not ended as far as is known. */
export type LiveSession = Pick<
  SessionEntity,
  'id' | 'tenant' | 'ownerProvider' | 'ownerSubject' | 'state' | 'createdAt'
>;

/** What a row is found by: on behalf of a caller with its tenant, null where the server follows the runner by itself. */
export interface SessionKey {
  readonly tenant: string | null;
  readonly id: string;
}

/** What is known of a session once it runs. */
type RunningFacts = Pick<SessionEntity, 'command' | 'cwd' | 'pid' | 'name'>;

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
  /** Looks under way, one for each session and tenant. Each has a caller or stream that waits for it, which bounds them. */
  readonly #looks = new Map<string, Promise<Resource | null>>();

  /** Counts what was forgotten, so that what is being read meanwhile is not remembered. */
  #forgotten = 0;

  constructor(
    private readonly scope: TenantScope,
    private readonly feed: SecurityFeed,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    feed.on('share', (changes) => {
      this.#forgotten += 1;
      for (const { key } of changes) this.#owners.delete(key);
      this.#looks.clear();
      return Promise.resolve();
    });
    feed.onReset(() => {
      this.#forgotten += 1;
      this.#owners.clear();
      this.#looks.clear();
      return Promise.resolve();
    });
  }

  /** Whose session this is and with whom it is shared, for the policy; null when this tenant has no such session. */
  async owner(tenant: string, id: unknown): Promise<Resource | null> {
    if (!isId(id)) return null;
    // Another tenant's is looked for as one that does not exist: neither answers sooner than the other.
    const known = this.remembered(id);
    if (known?.tenant === tenant) return known;
    const key = `${tenant}/${id}`;
    const look = this.#looks.get(key) ?? this.#look(tenant, id);
    this.#looks.set(key, look);
    const done = (): void => {
      if (this.#looks.get(key) === look) this.#looks.delete(key);
    };
    return look.finally(done);
  }

  /** The same as far as it is at hand, without waiting; nothing when it has to be asked for. */
  remembered(id: string): Resource | undefined {
    return this.#owners.get(id);
  }

  async find(tenant: string, id: string): Promise<SessionEntity | null> {
    return this.scope.within(tenant, (manager) => manager.findOneBy(SessionEntity, { tenant, id }));
  }

  /**
   * Adds a session in state `starting`, if the limits of its owner and tenant leave room.
   * In a worktree its `cwd` becomes the worktree's folder.
   * @returns null; or the session that is there already under the same request id, and then none was added
   * @throws DomainError SESSION_LIMIT, WORKTREE_NOT_READY
   */
  async insert(row: SessionEntity): Promise<SessionEntity | null> {
    const first = await this.scope.within(row.tenant, async (manager) => {
      await manager.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LIMIT_LOCK, row.tenant]);
      const known = await requested(manager, row);
      if (known !== null) return known;
      await this.#checkLimits(manager, row);
      if (row.worktreeId !== null) row.cwd = await folderOf(manager, row.tenant, row.worktreeId, row.runner);
      await manager.insert(SessionEntity, row);
      return null;
    });
    if (first === null) this.#owners.set(row.id, toResource(row, []));
    return first;
  }

  /** The session runs, unless its end was recorded already: states only move forward. */
  async markRunning({ tenant, id }: SessionEntity, facts: RunningFacts): Promise<void> {
    await this.scope.within(tenant, async (manager) => {
      await manager.update(SessionEntity, { tenant, id }, facts);
      await manager.update(SessionEntity, { tenant, id, state: 'starting' }, { state: 'running' });
    });
  }

  /** A start that nobody finished: the session runs. False when its state is known already. */
  async adopt(id: string, pid: number): Promise<boolean> {
    const { affected } = await this.scope.system((manager) =>
      manager.update(SessionEntity, { id, state: 'starting' }, { state: 'running', pid }),
    );
    return affected === 1;
  }

  async remove({ tenant, id }: SessionEntity): Promise<void> {
    await this.scope.within(tenant, (manager) => manager.delete(SessionEntity, { tenant, id }));
    this.#owners.delete(id);
  }

  /**
   * Records an end once: null when it was recorded before, by this gateway or another.
   * @param event what tells of it, which the row keeps until {@link endTold}
   */
  async end(key: SessionKey, end: SessionEnd, event: EventIdentity): Promise<SessionEntity | null> {
    const told = { endEvent: event.id, endEventAt: String(event.microseconds) };
    return this.#writing(key, async (manager, row) => {
      const { affected } = await manager.update(SessionEntity, { ...row, endedAt: IsNull() }, { ...end, ...told });
      return affected === 1 ? manager.findOneBy(SessionEntity, row) : null;
    });
  }

  /** The event of this end is safe in the trail. */
  async endTold({ tenant, id }: SessionEntity): Promise<void> {
    await this.scope.within(tenant, (manager) =>
      manager.update(SessionEntity, { tenant, id }, { endEvent: null, endEventAt: null }),
    );
  }

  /** Ends of one runner's sessions of which the trail may not know, the oldest first. @param before in microseconds */
  async untold(runner: string, before: bigint): Promise<SessionEntity[]> {
    return this.scope.system((manager) =>
      manager.find(SessionEntity, {
        where: { runner, endEvent: Not(IsNull()), endEventAt: LessThanOrEqual(String(before)) },
        order: { endEventAt: 'ASC' },
        take: MAX_UNTOLD,
      }),
    );
  }

  /** A page of one tenant's sessions, newest first; of those that are one principal's or shared with it, when given. */
  async list(tenant: string, of: Principal | null, { state, limit, cursor }: ListCommand): Promise<SessionEntity[]> {
    return this.scope.within(tenant, (manager) => {
      const query = manager.createQueryBuilder(SessionEntity, 's').where('s.tenant = :tenant', { tenant });
      if (of !== null) {
        const { provider, subject } = of;
        const { groups } = of.owner ?? of;
        query.andWhere(`(${OWN_OR_SHARED})`, { provider, subject, groups, now: new Date(this.clock.now()) });
      }
      if (state !== undefined) query.andWhere('s.state = :state', { state });
      if (cursor !== undefined) query.andWhere('s.id < :cursor', { cursor });
      return query.orderBy('s.id', 'DESC').take(limit).getMany();
    });
  }

  /** Shares a session; with the same grantee again it replaces the share, which keeps its id. */
  async share(row: SessionShareEntity): Promise<SessionShareEntity> {
    const stored = await this.scope.within(row.tenant, async (manager) => {
      const { tenant, sessionId, granteeKind, granteeProvider, grantee } = row;
      await manager.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [SHARE_LOCK, sessionId]);
      const known = await manager.findOneBy(SessionShareEntity, {
        ...{ tenant, sessionId, granteeKind, granteeProvider, grantee },
      });
      if (known === null) {
        await this.#requireShareRoom(manager, tenant, sessionId);
        await manager.insert(SessionShareEntity, row);
        return row;
      }
      const { level, expiresAt, createdBy } = row;
      await manager.update(SessionShareEntity, { tenant, id: known.id }, { level, expiresAt, createdBy });
      return Object.assign(known, { level, expiresAt, createdBy });
    });
    await this.feed.catchUp();
    return stored;
  }

  /** Takes a share back. @returns false when there is none */
  async unshare(tenant: string, sessionId: string, id: string): Promise<boolean> {
    const { affected } = await this.scope.within(tenant, (manager) =>
      manager.delete(SessionShareEntity, { tenant, sessionId, id }),
    );
    await this.feed.catchUp();
    return affected === 1;
  }

  /** The shares of a session, oldest first. */
  async shares(tenant: string, sessionId: string): Promise<SessionShareEntity[]> {
    return this.scope.within(tenant, (manager) =>
      manager.find(SessionShareEntity, { where: { tenant, sessionId }, order: { id: 'ASC' } }),
    );
  }

  /** The live sessions in a worktree, oldest first. */
  async liveIn(tenant: string, worktreeId: string): Promise<SessionEntity[]> {
    return this.scope.within(tenant, (manager) =>
      manager.find(SessionEntity, {
        where: { tenant, worktreeId, endedAt: IsNull() },
        order: { id: 'ASC' },
        take: MAX_LIVE_IN,
      }),
    );
  }

  /** The sessions of one runner that this table believes to be alive. */
  async live(runner: string): Promise<LiveSession[]> {
    return this.scope.system((manager) =>
      manager.find(SessionEntity, {
        select: { id: true, tenant: true, ownerProvider: true, ownerSubject: true, state: true, createdAt: true },
        where: { runner, endedAt: IsNull() },
      }),
    );
  }

  /** How many these are. */
  async countLive(runner: string): Promise<number> {
    return this.scope.system((manager) => manager.countBy(SessionEntity, { runner, endedAt: IsNull() }));
  }

  /** Those of these sessions that have not ended, whosever they are. */
  async stillLive(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = await this.scope.system((manager) =>
      manager.find(SessionEntity, { select: { id: true }, where: { id: In(ids), endedAt: IsNull() } }),
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Records the size of a session that lives. */
  async setSize(key: SessionKey, cols: number, rows: number): Promise<void> {
    await this.#writing(key, (manager, row) =>
      manager.update(SessionEntity, { ...row, endedAt: IsNull() }, { cols, rows }),
    );
  }

  /** Forgets sessions that ended longer ago than they stay readable. */
  async sweep(): Promise<void> {
    await this.scope.system((manager) =>
      manager.query(`DELETE FROM sessions WHERE ended_at < now() - interval '${RETENTION}'`),
    );
  }

  async #look(tenant: string, id: string): Promise<Resource | null> {
    const forgotten = this.#forgotten;
    const [row, shares] = await this.scope.within(tenant, async (manager) => [
      await manager.findOneBy(SessionEntity, { tenant, id }),
      await manager.findBy(SessionShareEntity, { tenant, sessionId: id }),
    ]);
    if (row === null) return null;
    const resource = toResource(row, shares);
    if (forgotten === this.#forgotten) this.#owners.set(id, resource);
    return resource;
  }

  #writing<T>(
    { tenant, id }: SessionKey,
    work: (manager: EntityManager, row: { id: string; tenant?: string }) => Promise<T>,
  ): Promise<T> {
    return tenant === null
      ? this.scope.system((manager) => work(manager, { id }))
      : this.scope.within(tenant, (manager) => work(manager, { tenant, id }));
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

  async #requireShareRoom(manager: EntityManager, tenant: string, sessionId: string): Promise<void> {
    if ((await manager.countBy(SessionShareEntity, { tenant, sessionId })) >= MAX_SHARES) {
      throw new DomainError('SESSION_LIMIT', `A session is shared with ${MAX_SHARES} subjects and groups at most.`);
    }
  }
}

/** Was this start none? It was lost before it ran, or it ran and could not be recorded, and so was ended again. */
export const startFailed = ({ state, pid, reason }: SessionEntity): boolean =>
  (state === 'lost' && pid === null) || reason === START_FAILED;

/** The session that came from the same request; a start that failed gives the request id up. */
async function requested(
  manager: EntityManager,
  { tenant, ownerProvider, ownerSubject, requestId }: SessionEntity,
): Promise<SessionEntity | null> {
  if (requestId === null) return null;
  const known = await manager.findOneBy(SessionEntity, { tenant, ownerProvider, ownerSubject, requestId });
  if (known === null || !startFailed(known)) return known;
  await manager.update(SessionEntity, { tenant, id: known.id }, { requestId: null, requestHash: null });
  return null;
}

const toResource = (
  { id, tenant, ownerProvider, ownerSubject }: SessionEntity,
  shares: readonly SessionShareEntity[],
): Resource => ({
  ...{ kind: 'session', id, tenant, ownerProvider, ownerSubject },
  shares: shares.map(({ granteeKind, granteeProvider, grantee, level, expiresAt }) => ({
    ...{ kind: granteeKind, provider: granteeProvider, name: grantee, level, expiresAt },
  })),
});
