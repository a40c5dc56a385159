import { Injectable } from '@nestjs/common';
import { Brackets, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import type { Resource } from '../authorization/policy.js';
import { TenantScope } from '../database/tenant-scope.js';
import { isKeyId } from '../kernel/api-key-text.js';
import type { Principal } from '../kernel/principal.js';
import { ApiKeyEntity } from './api-key.entity.js';
import { EXPIRING_DAYS } from './api-key-view.js';
import type { ListCommand } from './api-keys.schema.js';
import { endedBy, keyRefused, type KeyState } from './key-standing.js';

/** Who made a key, under which name of their own. */
export type Idempotent = Pick<ApiKeyEntity, 'tenant' | 'createdByProvider' | 'createdBy'> & {
  readonly idempotencyKey: string;
};

/** Whose keys are listed; null: everybody's of the tenant. */
export type Owner = KeyOwner | null;

/** Whose a key is. */
export type KeyOwner = Pick<ApiKeyEntity, 'ownerProvider' | 'ownerSubject'>;

/** The key behind a caller who makes keys, and when, milliseconds since 1970; null for a caller without one. */
export type Maker = { readonly keyId: string; readonly now: number } | null;

/** @param now milliseconds since 1970 */
export const makerOf = ({ keyId }: Principal, now: number): Maker => (keyId === null ? null : { keyId, now });

/** A key, for the policy. Keys are not shared. */
export const resourceOf = ({ id, tenant, ownerProvider, ownerSubject }: ApiKeyEntity): Resource => ({
  ...{ kind: 'api_key', id, tenant, ownerProvider, ownerSubject },
  shares: [],
});

/** The same as `stateOf`, for the database. */
const IN_STATE: Readonly<Record<KeyState, string>> = {
  revoked: 'key.revoked_at IS NOT NULL',
  expired: 'key.revoked_at IS NULL AND key.expires_at <= :now',
  rotated:
    'key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > :now) AND key.rotated_to IS NOT NULL',
  active: 'key.revoked_at IS NULL AND (key.expires_at IS NULL OR key.expires_at > :now) AND key.rotated_to IS NULL',
};
const EXPIRING = `coalesce(${IN_STATE.active} AND key.expires_at <= :soon, false)`;

/** The `api_keys` table, one tenant at a time. */
@Injectable()
export class KeyStore {
  constructor(private readonly scope: TenantScope) {}

  /** Whose key this is, for the policy; null when there is none in the tenant. */
  async owner(id: unknown, tenant: string): Promise<Resource | null> {
    if (typeof id !== 'string' || !isKeyId(id)) return null;
    const row = await this.find(tenant, id);
    return row === null ? null : resourceOf(row);
  }

  find(tenant: string, id: string): Promise<ApiKeyEntity | null> {
    return this.scope.within(tenant, (manager) => manager.findOneBy(ApiKeyEntity, { tenant, id }));
  }

  /** What was made under this name; null for nothing. */
  made(by: Idempotent): Promise<ApiKeyEntity | null> {
    return this.scope.within(by.tenant, (manager) => manager.findOneBy(ApiKeyEntity, by));
  }

  /**
   * Adds a key. False when another of the same idempotency key is there, which another call may have made just now.
   * @throws DomainError API_KEY_INVALID when the maker is no good any more: once its revocation is answered it makes none
   */
  insert(row: ApiKeyEntity, maker: Maker): Promise<boolean> {
    return this.scope.within(row.tenant, async (manager) => {
      await requireMaker(manager, row.tenant, maker);
      const insert = manager.createQueryBuilder().insert().into(ApiKeyEntity).values(row).orIgnore().returning('id');
      const stored: unknown = (await insert.execute()).raw;
      return Array.isArray(stored) && stored.length === 1;
    });
  }

  /**
   * Changes a key that nobody else can change meanwhile.
   * @param change told the row as it is; what it throws undoes everything
   * @param maker of a key that the change adds
   * @returns the row afterwards; null when there is none
   */
  change(
    tenant: string,
    id: string,
    change: (row: ApiKeyEntity, manager: EntityManager) => Promise<Partial<ApiKeyEntity>> | Partial<ApiKeyEntity>,
    maker: Maker = null,
  ): Promise<ApiKeyEntity | null> {
    return this.scope.within(tenant, async (manager) => {
      // In the order of their ids, so that two keys that rotate each other never wait for each other.
      const makerFirst = maker !== null && maker.keyId < id;
      if (makerFirst) await requireMaker(manager, tenant, maker);
      const lock = { mode: 'pessimistic_write' } as const;
      const row = await manager.findOne(ApiKeyEntity, { where: { tenant, id }, lock });
      if (row === null) return null;
      if (!makerFirst) await requireMaker(manager, tenant, maker);
      const changes = await change(row, manager);
      // Nothing to write is no change, which nobody has to hear of.
      if (Object.keys(changes).length > 0) await manager.update(ApiKeyEntity, { tenant, id }, changes);
      return Object.assign(row, changes);
    });
  }

  /**
   * Newest first.
   * @param now milliseconds since 1970
   */
  list(tenant: string, owner: Owner, command: ListCommand, now: number): Promise<ApiKeyEntity[]> {
    return this.scope.within(tenant, (manager) => {
      const query = manager.createQueryBuilder(ApiKeyEntity, 'key').where('key.tenant = :tenant', { tenant });
      query.setParameters({ now: new Date(now), soon: new Date(now + EXPIRING_DAYS * 24 * 3600 * 1000) });
      narrow(query, owner, command);
      return query.orderBy('key.created_at', 'DESC').addOrderBy('key.id', 'DESC').limit(command.limit).getMany();
    });
  }
}

/** Locks the maker until the transaction ends, so that its revocation waits. @throws DomainError API_KEY_INVALID */
async function requireMaker(manager: EntityManager, tenant: string, maker: Maker): Promise<void> {
  if (maker === null) return;
  const lock = { mode: 'pessimistic_read' } as const;
  const row = await manager.findOne(ApiKeyEntity, { where: { tenant, id: maker.keyId }, lock });
  const ended = row === null ? 'unknown' : endedBy(row, maker.now);
  if (ended !== null) throw keyRefused(ended);
}

function narrow(query: SelectQueryBuilder<ApiKeyEntity>, owner: Owner, command: ListCommand): void {
  const { owner: named, state, expiring, cursor } = command;
  if (owner !== null) {
    query.andWhere('key.owner_provider = :ownerProvider AND key.owner_subject = :ownerSubject', owner);
  }
  if (named !== undefined) query.andWhere('key.owner_subject = :named', { named });
  if (state !== undefined) query.andWhere(new Brackets((each) => each.where(IN_STATE[state])));
  if (expiring !== undefined) query.andWhere(expiring ? EXPIRING : `NOT ${EXPIRING}`);
  if (cursor === undefined) return;
  // Where the last page ended, to the microsecond; keys are never removed.
  const last =
    'SELECT last.created_at, last.id FROM api_keys AS last WHERE last.tenant = :tenant AND last.id = :cursor';
  query.andWhere(`(key.created_at, key.id) < (${last})`, { cursor });
}
