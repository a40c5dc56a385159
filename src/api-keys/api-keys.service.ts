import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { LRUCache } from 'lru-cache';
import { type Repository } from 'typeorm';
import { CONFIG, type Config } from '../config/load.js';
import { AuditTrail } from '../kernel/audit.js';
import { DomainError } from '../kernel/errors.js';
import { DEFAULT_TENANT, LOCAL_PROVIDER, type Principal } from '../kernel/principal.js';
import type { RequestContext } from '../kernel/request-context.js';
import { generateKey, type ParsedKey, parseKey } from './api-key.js';
import { ApiKeyEntity } from './api-key.entity.js';
import { SecretHasher } from './secret-hasher.js';

/** Verified keys that are remembered, so that bcrypt runs once per key and minute. */
const MAX_REMEMBERED = 10_000;
const REMEMBERED_MS = 60_000;

/** Advisory lock of the first key: one gateway makes it. */
const FIRST_KEY_LOCK = 0x67617468;

/** API keys: made once, shown once, kept as a bcrypt hash. */
@Injectable()
export class ApiKeysService {
  readonly #hasher: SecretHasher;
  /** SHA-256 of a key that bcrypt accepted → the hash it matched. The row itself is read on every use. */
  readonly #accepted = new LRUCache<string, string>({ max: MAX_REMEMBERED, ttl: REMEMBERED_MS });
  /** Checks under way, so that a burst of the same key costs one bcrypt. */
  readonly #checking = new Map<string, Promise<boolean>>();

  constructor(
    @InjectRepository(ApiKeyEntity) private readonly keys: Repository<ApiKeyEntity>,
    @Inject(CONFIG) private readonly config: Config,
    private readonly audit: AuditTrail,
  ) {
    this.#hasher = new SecretHasher(config.BCRYPT_COST);
  }

  /**
   * Makes the first administrator's key when there is no key yet; gateways that start together make one in all.
   * @param show shows the key's text, which exists nowhere else; what it throws undoes the key
   * @returns the key's text; null when there are keys already
   * @throws DomainError AUDIT_UNAVAILABLE, or the database's error: no key was made then, and the next start makes one
   */
  async createFirstAdminKey(context: RequestContext, show: (text: string) => void): Promise<string | null> {
    const key = generateKey(this.config.production ? 'gh_live' : 'gh_test');
    const fact = { action: 'api_key.create', resource: `api_key:${key.id}` } as const;
    try {
      return await this.keys.manager.transaction(async (manager) => {
        await manager.query('SELECT pg_advisory_xact_lock($1)', [FIRST_KEY_LOCK]);
        if (await manager.existsBy(ApiKeyEntity, {})) return null;
        const row = manager.create(ApiKeyEntity, await this.#firstAdmin(key));
        await manager.insert(ApiKeyEntity, row);
        await this.audit.record(context, { ...fact, success: true, metadata: { name: row.name, roles: row.roles } });
        // Before the commit: a key that was shown and is not there is made again, one never shown would be lost.
        show(key.text);
        return key.text;
      });
    } catch (error) {
      const reason = error instanceof DomainError ? error.code : 'INTERNAL_ERROR';
      this.audit.note(context, { ...fact, success: false, reason });
      throw error;
    }
  }

  /**
   * The principal behind a key. The row is read on every call, so a revoked key is refused at once on every gateway.
   * @throws DomainError API_KEY_INVALID, the same for every reason; AUTH_BUSY; DATABASE errors pass through
   */
  async authenticate(text: string, now: number): Promise<Principal> {
    const parsed = parseKey(text);
    if (!parsed) throw invalid();
    const row = await this.keys.findOneBy({ id: parsed.id });
    const matches = await this.#matches(text, parsed.secret, row?.keyHash ?? null);
    const usable = row !== null && row.revokedAt === null && (row.expiresAt === null || row.expiresAt.getTime() > now);
    if (!matches || !usable || row.prefix !== parsed.prefix) throw invalid();
    return {
      subject: row.ownerSubject,
      tenant: row.tenant,
      roles: row.roles,
      groups: [],
      scopes: row.scopes,
      method: 'api_key',
      provider: LOCAL_PROVIDER,
      credentialId: row.id,
      expiresAt: row.expiresAt,
      kind: 'service',
    };
  }

  async #matches(text: string, secret: string, stored: string | null): Promise<boolean> {
    const digest = createHash('sha256').update(text).digest('base64');
    if (stored !== null && this.#accepted.get(digest) === stored) return true;
    const running = this.#checking.get(digest);
    if (running) return running;
    const check = this.#hasher.matches(secret, stored).finally(() => this.#checking.delete(digest));
    this.#checking.set(digest, check);
    const matches = await check;
    if (matches && stored !== null) this.#accepted.set(digest, stored);
    return matches;
  }

  async #firstAdmin(key: ParsedKey): Promise<Omit<ApiKeyEntity, 'createdAt'>> {
    return {
      id: key.id,
      tenant: DEFAULT_TENANT,
      name: 'first administrator',
      ownerSubject: 'admin',
      createdBy: 'system',
      keyHash: await this.#hasher.hash(key.secret),
      prefix: key.prefix,
      roles: ['admin'],
      scopes: null,
      expiresAt: null,
      revokedAt: null,
    };
  }
}

const invalid = (): DomainError => new DomainError('API_KEY_INVALID', 'The API key is not valid.');
