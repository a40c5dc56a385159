import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { Standings } from '../authorization/standings.js';
import { CONFIG, type Config } from '../config/load.js';
import { SecurityFeed } from '../database/security-feed.js';
import { type Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { LOCAL_PROVIDER, type Principal } from '../kernel/principal.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { ApiKeyEntity } from './api-key.entity.js';
import { type ApiKeyView, toView } from './api-key-view.js';
import type { CreateCommand, ListCommand, RevokeCommand, UpdateCommand } from './api-keys.schema.js';
import { widened } from './key-changes.js';
import { currentCaller, invalid, KeyPowers } from './key-powers.js';
import { endedBy, found, notActive } from './key-standing.js';
import { type KeyOwner, KeyStore, makerOf, type Owner } from './key-store.js';
import { newKey, prefixOf } from './new-key.js';
import { SecretHasher } from './secret-hasher.js';

/** The one answer that has the text of the key. */
export type NewKeyView = ApiKeyView & { readonly key: string };
/** The answer to a repeated creation. */
export type ReplayView = ApiKeyView & { readonly idempotent_replay: true };

export interface KeyPage {
  readonly items: readonly ApiKeyView[];
  readonly next_cursor: string | null;
}

/** The life of keys: made, shown once, narrowed, revoked. Never widened, revived or removed. */
@Injectable()
export class KeyLifecycle {
  constructor(
    private readonly store: KeyStore,
    private readonly powers: KeyPowers,
    private readonly hasher: SecretHasher,
    private readonly authorization: AuthorizationService,
    private readonly standings: Standings,
    private readonly feed: SecurityFeed,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Makes a key; with an idempotency key, one for all calls of the same caller that bring it.
   * @param name the caller's idempotency key
   * @throws DomainError INVALID_ARGUMENT naming the field; PERMISSION_DENIED for more than the caller holds;
   *   IDEMPOTENCY_CONFLICT when the same name came with another request; AUTH_BUSY; and what a credential is refused
   *   with that is no good any more once the key is ready
   */
  async create(context: CallerContext, command: CreateCommand, name: string | null): Promise<NewKeyView | ReplayView> {
    const { principal } = context;
    const { tenant } = principal;
    const by = { tenant, createdByProvider: principal.provider, createdBy: principal.subject };
    const hash = createHash('sha256').update(JSON.stringify(command)).digest('hex');
    const made = name === null ? null : await this.store.made({ ...by, idempotencyKey: name });
    if (made !== null) return this.#replay(made, hash);
    const now = this.clock.now();
    const owner = this.#ownerOf(context, command.owner);
    this.#requireRate(principal, command);
    const { row, text } = await newKey(this.hasher, prefixOf(this.config.production), {
      ...by,
      ...owner,
      ...(await this.powers.forNew(principal, owner, command, now)),
      name: command.name,
      description: command.description,
      idempotencyKey: name,
      idempotencyHash: name === null ? null : hash,
      createdAt: new Date(now),
    });
    // The key is worth what its owner holds: with his first token that must be known before the key is used.
    await this.standings.settled(principal);
    const { principal: current } = await this.#requireStill(context, command, row);
    const inserted = await this.store.insert(row, makerOf(current, this.clock.now()));
    await this.feed.catchUp();
    if (inserted) return { ...this.#view(row), key: text };
    const first = await this.store.made({ ...by, idempotencyKey: name ?? '' });
    if (first === null) throw new Error('A key was neither stored nor there already');
    return this.#replay(first, hash);
  }

  /** The keys of the caller; of the whole tenant for those who may list all. */
  async list(context: CallerContext, command: ListCommand): Promise<KeyPage> {
    const { principal } = context;
    const all = this.authorization.allows(principal, 'api_key:list_all', null);
    const owner: Owner = all ? null : { ownerProvider: principal.provider, ownerSubject: principal.subject };
    const rows = await this.store.list(principal.tenant, owner, command, this.clock.now());
    const last = rows.length === command.limit ? rows.at(-1) : undefined;
    return { items: rows.map((row) => this.#view(row)), next_cursor: last?.id ?? null };
  }

  /** @throws DomainError NOT_FOUND */
  async get({ principal }: CallerContext, id: string): Promise<ApiKeyView> {
    return this.#view(found(await this.store.find(principal.tenant, id)));
  }

  /**
   * Renames a key, or narrows it.
   * @throws DomainError INVALID_ARGUMENT naming the field that would be wider; KEY_NOT_ACTIVE; NOT_FOUND
   */
  async update({ principal }: CallerContext, id: string, command: UpdateCommand): Promise<ApiKeyView> {
    const now = this.clock.now();
    const row = await this.store.change(principal.tenant, id, (before) => {
      if (endedBy(before, now) !== null) throw notActive();
      const past = command.expires_at !== undefined && command.expires_at.getTime() <= now;
      const issues = [
        ...(past ? [{ field: 'expires_at', problem: 'is in the past; revoke the key instead' }] : []),
        ...widened(before, command, this.config.RATE_LIMIT_PRINCIPAL_PER_MINUTE),
      ];
      if (issues.length > 0) throw invalid(issues);
      return changesOf(command);
    });
    await this.feed.catchUp();
    return this.#view(found(row));
  }

  /** Revokes a key for good. A second time changes nothing, and the first reason stays. @throws DomainError NOT_FOUND */
  async revoke({ principal }: CallerContext, id: string, { reason }: RevokeCommand): Promise<ApiKeyView> {
    const revokedAt = new Date(this.clock.now());
    const row = await this.store.change(principal.tenant, id, (before) =>
      before.revokedAt === null ? { revokedAt, revokedBy: principal.subject, revokedReason: reason ?? null } : {},
    );
    await this.feed.catchUp();
    return this.#view(found(row));
  }

  /** Everything again before the key is stored, since it had its time in bcrypt's queue. Returns the caller as he is. */
  async #requireStill(context: CallerContext, command: CreateCommand, row: ApiKeyEntity): Promise<CallerContext> {
    const caller = await currentCaller(context);
    this.authorization.require(caller, 'api_key:create', null);
    this.#ownerOf(caller, command.owner);
    this.#requireRate(caller.principal, command);
    await this.powers.requireStill(caller.principal, row);
    return caller;
  }

  /** Whose the new key is: the caller's, or that of a service, which needs the right to manage others' keys. */
  #ownerOf(context: CallerContext, owner: string | undefined): KeyOwner {
    const { provider, subject } = context.principal;
    if (owner === undefined || (owner === subject && provider === LOCAL_PROVIDER)) {
      return { ownerProvider: provider, ownerSubject: subject };
    }
    this.authorization.require(context, 'api_key:manage_any', null);
    return { ownerProvider: LOCAL_PROVIDER, ownerSubject: owner };
  }

  /** A key with a limit of its own is counted by that alone: more than callers usually have is not for everybody to give. */
  #requireRate(caller: Principal, { rate_limit_per_minute: rate = 0 }: CreateCommand): void {
    const usual = this.config.RATE_LIMIT_PRINCIPAL_PER_MINUTE;
    if (rate <= usual || this.authorization.allows(caller, 'api_key:manage_any', null)) return;
    throw invalid([{ field: 'rate_limit_per_minute', problem: `at most ${usual}, which is what you have` }]);
  }

  #replay(row: ApiKeyEntity, hash: string): ReplayView {
    if (row.idempotencyHash !== hash) {
      throw new DomainError('IDEMPOTENCY_CONFLICT', 'This Idempotency-Key was used for another request.');
    }
    return { ...this.#view(row), idempotent_replay: true };
  }

  #view(row: ApiKeyEntity): ApiKeyView {
    return toView(row, this.clock.now(), this.config.API_KEY_UNUSED_DAYS);
  }
}

/** What is to be written; what was not named stays. */
function changesOf(command: UpdateCommand): Partial<ApiKeyEntity> {
  const { name, description, scopes, allowed_cidrs: allowedCidrs, expires_at: expiresAt } = command;
  const { rate_limit_per_minute: rateLimitPerMinute } = command;
  return {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(scopes === undefined ? {} : { scopes }),
    ...(allowedCidrs === undefined ? {} : { allowedCidrs }),
    ...(rateLimitPerMinute === undefined ? {} : { rateLimitPerMinute }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}
