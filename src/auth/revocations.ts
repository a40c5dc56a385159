import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Read } from '../database/feed-connection.js';
import { SecurityFeed } from '../database/security-feed.js';
import { TenantScope } from '../database/tenant-scope.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import type { Principal } from '../kernel/principal.js';
import { CLOCK } from '../kernel/tokens.js';
import { MAX_LIFETIME_SECONDS } from './providers/auth-config.js';

/** Revocations in force that one tenant may have: whoever needs more revokes subjects, not tokens. */
const MAX_PER_TENANT = 10_000;
/** Of their own tokens, one subject, and all of a tenant: they must not take the room from who revokes others'. */
const MAX_OWN = 20;
const MAX_OWN_PER_TENANT = 2000;
/** No token lives longer than configurable, so that a revocation may be forgotten after it; two days for clocks. */
export const KEPT_MS = (MAX_LIFETIME_SECONDS + 2 * 86_400) * 1000;

/** A revocation as it is stored and shown. */
export interface Revocation {
  readonly id: string;
  readonly kind: 'jti' | 'subject';
  readonly jti: string | null;
  /** Of the subject or token; null: whoever vouches for it. */
  readonly provider: string | null;
  readonly subject: string | null;
  /** Tokens issued before it are refused. */
  readonly before: Date;
  readonly reason: string | null;
  readonly created_by: string;
  readonly created_at: Date;
  readonly expires_at: Date;
}

type Row = Revocation & { readonly tenant: string };

const COLUMNS = 'id, tenant, kind, jti, provider, subject, before, reason, created_by, created_at, expires_at';

/** A token, as far as a revocation can meet it. */
export interface RevocableToken {
  readonly principal: Principal;
  /** The token that it was exchanged for, which takes it along. */
  readonly parent: string | null;
  /** Milliseconds since 1970: when this gateway saw it first. */
  readonly seenAt: number;
  /** How far the issuer's clock may be ahead of ours, milliseconds. */
  readonly skewMs: number;
}

/** Which tokens were revoked: in memory for the decision, in PostgreSQL for all gateways and restarts. */
@Injectable()
export class Revocations {
  /** Revoked `jti` → when it may be forgotten. */
  #tokens = new Map<string, number>();
  /** Subject → its tokens issued before this are refused. */
  #subjects = new Map<string, number>();

  constructor(
    private readonly scope: TenantScope,
    private readonly feed: SecurityFeed,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    feed.on('revocation', (changes, read) =>
      this.#load(
        changes.map(({ key }) => key),
        read,
      ),
    );
    feed.onReset((read) => this.#loadAll(read));
  }

  /**
   * @throws DomainError TOKEN_REVOKED; AUTH_STATE_UNAVAILABLE when it is not known freshly enough
   */
  require({ principal, parent, seenAt, skewMs }: RevocableToken): void {
    this.feed.requireFresh();
    const { tenant, provider, subject, credentialId, issuedAt } = principal;
    const named = [credentialId, parent].some(
      (jti) => jti !== null && (this.#tokens.has(keyOf(tenant, jti)) || this.#tokens.has(keyOf(tenant, jti, provider))),
    );
    const before = Math.max(
      this.#subjects.get(keyOf(tenant, subject)) ?? -Infinity,
      this.#subjects.get(keyOf(tenant, subject, provider)) ?? -Infinity,
    );
    if (named || Math.min((issuedAt?.getTime() ?? seenAt) - skewMs, seenAt) <= before) {
      throw new DomainError('TOKEN_REVOKED', 'The token was revoked.', {
        reason: named ? 'token_revoked' : 'subject_revoked',
      });
    }
  }

  /**
   * Stores a revocation; when this resolves it is in force here, and within a second everywhere. The same again moves it to
   * now.
   * @param own of the caller's own tokens, without the permission to revoke others'
   * @throws DomainError RATE_LIMIT_EXCEEDED when there are too many in force
   */
  async add(tenant: string, revocation: Omit<Revocation, 'expires_at'>, own: boolean): Promise<Revocation> {
    const { id, kind, jti, provider, subject, before, reason, created_by, created_at } = revocation;
    const expires = new Date(created_at.getTime() + KEPT_MS);
    const stored = await this.scope.within(tenant, async (manager) => {
      if (own) await requireRoomForOwn(manager, tenant, created_by);
      else await requireRoom(manager, tenant);
      const [row] = await manager.query<Row[]>(
        `INSERT INTO revocations (${COLUMNS}, own) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (tenant, kind, coalesce(jti, subject), coalesce(provider, '')) DO UPDATE
         SET before = excluded.before, reason = excluded.reason, created_by = excluded.created_by,
           created_at = excluded.created_at, expires_at = excluded.expires_at, own = excluded.own AND revocations.own
         RETURNING ${COLUMNS}`,
        [id, tenant, kind, jti, provider, subject, before, reason, created_by, created_at, expires, own],
      );
      return row;
    });
    if (!stored) throw new Error('A revocation was neither stored nor refused');
    await this.feed.catchUp();
    return { ...revocation, id: stored.id, expires_at: expires };
  }

  /** A page of a tenant's revocations, newest first. @param cursor id of the last one seen */
  list(tenant: string, limit: number, cursor: string | null): Promise<Revocation[]> {
    return this.scope.within(tenant, (manager) =>
      manager.query<Revocation[]>(
        `SELECT ${COLUMNS} FROM revocations WHERE tenant = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3`,
        [tenant, cursor, limit],
      ),
    );
  }

  /** Removes what no token can need any more. */
  async forgetOld(manager: EntityManager): Promise<void> {
    await manager.query('DELETE FROM revocations WHERE expires_at < now()');
    const now = this.clock.now();
    for (const [key, until] of this.#tokens) if (until < now) this.#tokens.delete(key);
    for (const [key, before] of this.#subjects) if (before < now - KEPT_MS) this.#subjects.delete(key);
  }

  async #load(ids: readonly string[], read: Read): Promise<void> {
    const rows = await read<Row>(`SELECT ${COLUMNS} FROM revocations WHERE id = ANY ($1)`, [ids]);
    for (const row of rows) take(row, this.#tokens, this.#subjects);
  }

  /** Bounded by the number that each tenant may have. */
  async #loadAll(read: Read): Promise<void> {
    const rows = await read<Row>(`SELECT ${COLUMNS} FROM revocations WHERE expires_at > now()`);
    const [tokens, subjects] = [new Map<string, number>(), new Map<string, number>()];
    for (const row of rows) take(row, tokens, subjects);
    [this.#tokens, this.#subjects] = [tokens, subjects];
  }
}

/** Own ones do not count: nobody takes the room from who must revoke. */
async function requireRoom(manager: EntityManager, tenant: string): Promise<void> {
  const [row] = await manager.query<{ n: string }[]>(
    'SELECT count(*) AS n FROM revocations WHERE tenant = $1 AND NOT own AND expires_at > now()',
    [tenant],
  );
  if (Number(row?.n) >= MAX_PER_TENANT)
    throw tooMany('Too many revocations are in force; revoke subjects, not tokens.');
}

async function requireRoomForOwn(manager: EntityManager, tenant: string, subject: string): Promise<void> {
  const [row] = await manager.query<{ n: string; mine: string }[]>(
    `SELECT count(*) AS n, count(*) FILTER (WHERE created_by = $2) AS mine
     FROM revocations WHERE tenant = $1 AND own AND expires_at > now()`,
    [tenant, subject],
  );
  if (Number(row?.mine) >= MAX_OWN || Number(row?.n) >= MAX_OWN_PER_TENANT) {
    throw tooMany('You have revoked many tokens of yours one by one; revoke all of them by your subject.');
  }
}

const tooMany = (message: string): DomainError => new DomainError('RATE_LIMIT_EXCEEDED', message);

function take(
  { tenant, jti, subject, provider, before, expires_at }: Row,
  tokens: Map<string, number>,
  subjects: Map<string, number>,
): void {
  if (jti !== null)
    tokens.set(provider === null ? keyOf(tenant, jti) : keyOf(tenant, jti, provider), expires_at.getTime());
  if (subject === null) return;
  const key = provider === null ? keyOf(tenant, subject) : keyOf(tenant, subject, provider);
  subjects.set(key, Math.max(subjects.get(key) ?? -Infinity, before.getTime()));
}

/** No part has a control character (the claims' schema), so that none reaches into the next. */
const keyOf = (...parts: readonly string[]): string => parts.join('\0');
