import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { CONFIG, type Config } from '../config/load.js';
import { SecurityFeed } from '../database/security-feed.js';
import { type Clock } from '../kernel/clock.js';
import type { Principal } from '../kernel/principal.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { ApiKeyEntity } from './api-key.entity.js';
import { toView } from './api-key-view.js';
import type { RotateCommand } from './api-keys.schema.js';
import type { NewKeyView } from './key-lifecycle.service.js';
import { beyond, currentCaller, invalid, KeyPowers, requireUnlimited } from './key-powers.js';
import { endedBy, found, notActive } from './key-standing.js';
import { KeyStore, makerOf, resourceOf } from './key-store.js';
import { type KeyFields, newKey } from './new-key.js';
import { SecretHasher } from './secret-hasher.js';

/** Successors of keys. */
@Injectable()
export class KeyRotation {
  constructor(
    private readonly store: KeyStore,
    private readonly powers: KeyPowers,
    private readonly hasher: SecretHasher,
    private readonly authorization: AuthorizationService,
    private readonly feed: SecurityFeed,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Makes a successor with the same powers; the old key works until the grace ends.
   * @throws DomainError KEY_NOT_ACTIVE when it was rotated already or is no good; PERMISSION_DENIED when it holds more than
   *   the caller, or the caller is a key with a limit of its own; INVALID_ARGUMENT; NOT_FOUND; AUTH_BUSY; and what a
   *   credential is refused with that is no good any more once the successor is ready
   */
  async rotate(context: CallerContext, id: string, command: RotateCommand): Promise<NewKeyView> {
    const { principal } = context;
    const now = this.clock.now();
    const before = found(await this.store.find(principal.tenant, id));
    requireActive(before, now);
    const fields = await this.#succeeding(principal, before, command, now);
    const { row, text } = await newKey(this.hasher, before.prefix === 'gh_live' ? 'gh_live' : 'gh_test', fields);
    const caller = await currentCaller(context);
    this.authorization.require(caller, 'api_key:rotate', resourceOf(before));
    await this.#succeeding(caller.principal, before, command, now);
    await this.#replace(caller.principal, before, row, new Date(now + command.grace_seconds * 1000));
    await this.feed.catchUp();
    return { ...toView(row, now, this.config.API_KEY_UNUSED_DAYS), key: text };
  }

  /** Stores the successor, unless the old key was changed meanwhile. @throws DomainError KEY_NOT_ACTIVE, NOT_FOUND */
  async #replace(caller: Principal, before: ApiKeyEntity, row: ApiKeyEntity, graceUntil: Date): Promise<void> {
    const now = this.clock.now();
    const { tenant, id } = before;
    const replace = async (current: ApiKeyEntity, manager: EntityManager): Promise<Partial<ApiKeyEntity>> => {
      requireActive(current, now);
      // Narrowed since it was read: the successor would have what was taken away.
      if (narrowedSince(before, current)) throw notActive();
      await manager.insert(ApiKeyEntity, row);
      return { rotatedTo: row.id, graceUntil };
    };
    found(await this.store.change(tenant, id, replace, makerOf(caller, now)));
  }

  /** What the successor is made with. @throws DomainError INVALID_ARGUMENT, PERMISSION_DENIED */
  async #succeeding(caller: Principal, before: ApiKeyEntity, command: RotateCommand, now: number): Promise<KeyFields> {
    const bounds = await this.powers.boundsOf(caller);
    // Nothing is left of the old key then, so that there is one limit as before.
    if (caller.keyId !== before.id || command.grace_seconds > 0) requireUnlimited(bounds);
    const { allowedCidrs, rateLimitPerMinute } = before;
    const wanted = 'expires_at' in command ? command.expires_at : undefined;
    const latest = this.powers.latestEnd(now);
    const kept =
      before.expiresAt !== null && (latest === null || before.expiresAt < latest) ? before.expiresAt : latest;
    const expiresAt = wanted ?? kept;
    const later = caller.keyId !== null && before.expiresAt !== null && (expiresAt ?? Infinity) > before.expiresAt;
    const issues = [
      ...this.powers.checkEnd(expiresAt, now),
      ...(later ? [{ field: 'expires_at', problem: 'an API key cannot prolong a key' }] : []),
      ...beyond({ allowedCidrs, expiresAt }, bounds),
    ];
    if (issues.length > 0) throw invalid(issues);
    this.powers.requireHeld(caller, before);
    const { tenant, name, description, ownerProvider, ownerSubject, roles, scopes } = before;
    return {
      ...{ tenant, name, description, ownerProvider, ownerSubject, roles, scopes, allowedCidrs, rateLimitPerMinute },
      createdByProvider: caller.provider,
      createdBy: caller.subject,
      expiresAt,
      rotatedFrom: before.id,
      createdAt: new Date(now),
    };
  }
}

/** @throws DomainError KEY_NOT_ACTIVE */
function requireActive(row: ApiKeyEntity, now: number): void {
  if (row.rotatedTo !== null || endedBy(row, now) !== null) throw notActive();
}

/** Was it narrowed in between? */
function narrowedSince(before: ApiKeyEntity, current: ApiKeyEntity): boolean {
  const powers = ({ roles, scopes, allowedCidrs, rateLimitPerMinute, expiresAt }: ApiKeyEntity): string =>
    JSON.stringify([roles, scopes, allowedCidrs, rateLimitPerMinute, expiresAt]);
  return powers(before) !== powers(current);
}
