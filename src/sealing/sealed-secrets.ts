import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { TenantScope } from '../database/tenant-scope.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import type { Principal } from '../kernel/principal.js';
import { CLOCK } from '../kernel/tokens.js';
import { Keyring, type Place } from './keyring.js';

/** Injection token of the {@link Keyring}; null where there is no key. */
export const KEYRING = Symbol('KEYRING');

/** Secrets of one tenant. */
export const MAX_SECRETS = 100;
/** Bytes of one, in UTF-8. */
export const MAX_SECRET_BYTES = 8192;
/** First key of the advisory lock that serialises the counting of one tenant's secrets. */
const LIMIT_LOCK = 0x67617473;

/** All that is told of a secret. */
export interface SecretRow {
  readonly name: string;
  /** Of the master key that it is sealed under. */
  readonly keyId: string;
  readonly createdBy: string;
  readonly updatedBy: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const COLUMNS = `name, key_id AS "keyId", created_by AS "createdBy", updated_by AS "updatedBy",
  created_at AS "createdAt", updated_at AS "updatedAt"`;
const UPSERT = `
  INSERT INTO sealed_secrets AS s (tenant, name, envelope, key_id, created_by_provider, created_by,
    updated_by_provider, updated_by, created_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $5, $6, $7, $7)
  ON CONFLICT (tenant, name) DO UPDATE SET envelope = excluded.envelope, key_id = excluded.key_id,
    updated_by_provider = excluded.updated_by_provider, updated_by = excluded.updated_by, updated_at = excluded.updated_at
  RETURNING ${COLUMNS}`;

/** Where a secret lies, which its envelope is bound to. */
export const placeOf = (tenant: string, name: string): Place => ({ tenant, table: 'sealed_secrets', row: name });

/** The `sealed_secrets` table, one tenant at a time. Values go in, and out only to what uses them here. */
@Injectable()
export class SealedSecrets {
  constructor(
    private readonly scope: TenantScope,
    @Inject(KEYRING) private readonly keyring: Keyring | null,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Can what was sealed under this master key be opened here? */
  opens(keyId: string): boolean {
    return this.keyring?.keyIds.includes(keyId) === true;
  }

  /**
   * Seals a value under a name, in the place of the one before.
   * @returns the row, and whether the name is new
   * @throws DomainError SEALING_UNAVAILABLE without a key; SECRET_LIMIT
   */
  async put(by: Principal, name: string, value: string): Promise<{ row: SecretRow; created: boolean }> {
    const { tenant, provider, subject } = by;
    const keyring = this.requireKeyring();
    // Sealed before it is near a query, whose values may end up in an error.
    const envelope = keyring.seal(placeOf(tenant, name), Buffer.from(value));
    return this.scope.within(tenant, async (manager) => {
      await manager.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LIMIT_LOCK, tenant]);
      const created = await this.#requireRoom(manager, tenant, name);
      const now = new Date(this.clock.now());
      const values = [tenant, name, envelope, keyring.keyId, provider, subject, now];
      const [row] = await manager.query<SecretRow[]>(UPSERT, values);
      if (row === undefined) throw new Error('A secret was not stored');
      return { row, created };
    });
  }

  /** By name. @param after the name before the first one; null: from the beginning */
  list(tenant: string, after: string | null, limit: number): Promise<SecretRow[]> {
    const query = `SELECT ${COLUMNS} FROM sealed_secrets
      WHERE tenant = $1 AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`;
    return this.scope.within(tenant, (manager) => manager.query<SecretRow[]>(query, [tenant, after ?? '', limit]));
  }

  async find(tenant: string, name: string): Promise<SecretRow | null> {
    const query = `SELECT ${COLUMNS} FROM sealed_secrets WHERE tenant = $1 AND name = $2`;
    const [row] = await this.scope.within(tenant, (manager) => manager.query<SecretRow[]>(query, [tenant, name]));
    return row ?? null;
  }

  /** @returns whether there was one */
  async remove(tenant: string, name: string): Promise<boolean> {
    const query = 'DELETE FROM sealed_secrets WHERE tenant = $1 AND name = $2 RETURNING name';
    const rows = await this.scope.within(tenant, (manager) =>
      manager.query<[unknown[], number]>(query, [tenant, name]),
    );
    return rows[1] === 1;
  }

  /**
   * The value of a secret, for what uses it.
   * @returns null when there is none of that name
   * @throws SealKeyMissing, SealBroken; DomainError SEALING_UNAVAILABLE without a key; and the database's error
   */
  async read(tenant: string, name: string): Promise<string | null> {
    const query = 'SELECT envelope FROM sealed_secrets WHERE tenant = $1 AND name = $2';
    const [row] = await this.scope.within(tenant, (manager) =>
      manager.query<{ envelope: Buffer }[]>(query, [tenant, name]),
    );
    return row === undefined ? null : this.requireKeyring().open(placeOf(tenant, name), row.envelope).toString('utf8');
  }

  /** @throws DomainError SEALING_UNAVAILABLE without a key */
  requireKeyring(): Keyring {
    if (this.keyring !== null) return this.keyring;
    throw new DomainError(
      'SEALING_UNAVAILABLE',
      'This server has no ENCRYPTION_MASTER_KEY, so it keeps no secrets; its operator can set one.',
    );
  }

  /** @returns whether the name is new @throws DomainError SECRET_LIMIT when it is and there are as many as there may be */
  async #requireRoom(manager: EntityManager, tenant: string, name: string): Promise<boolean> {
    const query =
      'SELECT count(*)::int AS all, count(*) FILTER (WHERE name = $2)::int AS same FROM sealed_secrets WHERE tenant = $1';
    const [found] = await manager.query<{ all: number; same: number }[]>(query, [tenant, name]);
    if (found?.same === 1) return false;
    if ((found?.all ?? 0) < MAX_SECRETS) return true;
    throw new DomainError(
      'SECRET_LIMIT',
      `There are ${MAX_SECRETS} secrets already, which is as many as there may be.`,
    );
  }
}
