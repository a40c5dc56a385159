import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config/load.js';
import { SecurityFeed } from '../database/security-feed.js';
import { TenantScope } from '../database/tenant-scope.js';
import { AuditTrail } from '../kernel/audit.js';
import { type Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import { DEFAULT_TENANT, LOCAL_PROVIDER } from '../kernel/principal.js';
import type { RequestContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { ApiKeyEntity } from './api-key.entity.js';
import { newKey, type NewKey, prefixOf } from './new-key.js';
import { SecretHasher } from './secret-hasher.js';

/** Advisory lock of the first key: one gateway makes it. */
const FIRST_KEY_LOCK = 0x67617468;
const OWNER = 'admin';
const ROLE = 'admin';

const BIND = `
  INSERT INTO role_bindings (id, tenant, role, member_kind, member_provider, member, created_by)
  VALUES ($1, $2, $3, 'subject', $4, $5, 'system')
  ON CONFLICT DO NOTHING`;

/** The key that the first start shows, with which everything else is set up. */
@Injectable()
export class FirstAdminKey {
  constructor(
    private readonly scope: TenantScope,
    private readonly hasher: SecretHasher,
    private readonly audit: AuditTrail,
    private readonly feed: SecurityFeed,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * Makes the first administrator's key when there is no key yet, and binds its owner to the role that it carries, since a
   * key is worth no more than its owner. Gateways that start together make one in all.
   * @param show shows the key's text, which exists nowhere else; what it throws undoes the key
   * @returns the key's text; null when there are keys already
   * @throws DomainError AUDIT_UNAVAILABLE, or the database's error: no key was made then, and the next start makes one
   */
  async create(context: RequestContext, show: (text: string) => void): Promise<string | null> {
    const text = await this.scope.system(async (manager) => {
      await manager.query('SELECT pg_advisory_xact_lock($1)', [FIRST_KEY_LOCK]);
      if (await manager.existsBy(ApiKeyEntity, {})) return null;
      return this.#recorded(context, async (key) => {
        await manager.insert(ApiKeyEntity, key.row);
        await manager.query(BIND, [newId(), DEFAULT_TENANT, ROLE, LOCAL_PROVIDER, OWNER]);
        // Before the commit: a key that was shown and is not there is made again, one never shown would be lost.
        return () => {
          show(key.text);
        };
      });
    });
    if (text !== null) await this.feed.catchUp();
    return text;
  }

  /** Makes the key and records it; a failure is on record too. */
  async #recorded(context: RequestContext, store: (key: NewKey) => Promise<() => void>): Promise<string> {
    const key = await this.#firstAdmin();
    const { id, name, roles } = key.row;
    const fact = { action: 'api_key.create', resource: `api_key:${id}` } as const;
    try {
      const show = await store(key);
      await this.audit.record(context, { ...fact, success: true, metadata: { name, roles } });
      show();
      return key.text;
    } catch (error) {
      const reason = error instanceof DomainError ? error.code : 'INTERNAL_ERROR';
      this.audit.note(context, { ...fact, success: false, reason });
      throw error;
    }
  }

  #firstAdmin(): Promise<NewKey> {
    return newKey(this.hasher, prefixOf(this.config.production), {
      tenant: DEFAULT_TENANT,
      name: 'first administrator',
      description: '',
      ownerProvider: LOCAL_PROVIDER,
      ownerSubject: OWNER,
      createdByProvider: LOCAL_PROVIDER,
      createdBy: 'system',
      roles: [ROLE],
      scopes: null,
      allowedCidrs: null,
      rateLimitPerMinute: null,
      expiresAt: null,
      createdAt: new Date(this.clock.now()),
    });
  }
}
