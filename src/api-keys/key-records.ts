import { timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { CONFIG, type Config } from '../config/load.js';
import { SecurityFeed } from '../database/security-feed.js';
import { TenantScope } from '../database/tenant-scope.js';
import { cidrMatcher } from '../kernel/cidr.js';
import type { Principal } from '../kernel/principal.js';
import { ApiKeyEntity } from './api-key.entity.js';

/** Keys that are remembered. */
const MAX_KNOWN = 10_000;

/** A key as it was loaded, and what was found out about it since. Goes as a whole when anything of it changes. */
export class KeyRecord {
  /** May it be used from this address? */
  readonly allows: (address: string) => boolean;
  /** As the `subject` topic of the feed names the owner. */
  readonly owner: string;
  /** Found with the first use. */
  principal: Principal | null = null;
  /** SHA-256 of the whole text of the key, once it was verified. */
  #accepted: Buffer | null = null;

  constructor(readonly row: Readonly<ApiKeyEntity>) {
    const { tenant, ownerProvider, ownerSubject, allowedCidrs } = row;
    this.owner = JSON.stringify([tenant, ownerProvider, ownerSubject]);
    this.allows = allowedCidrs === null ? () => true : cidrMatcher(allowedCidrs);
  }

  /** Remembers the verdict that this text is the key's. */
  accept(digest: Buffer): void {
    this.#accepted = digest;
  }

  /** Was this text found to be the key's? Compared in constant time. */
  accepts(digest: Buffer): boolean {
    return this.#accepted?.length === digest.length && timingSafeEqual(this.#accepted, digest);
  }
}

/**
 * The keys in use, by key id: remembered for AUTH_STATE_MAX_AGE_SECONDS from the moment they were looked up, and forgotten
 * at once when the feed tells of a change of the key, or of what its owner was vouched for.
 */
@Injectable()
export class KeyRecords {
  readonly #known: LRUCache<string, KeyRecord>;
  /** Looks under way, one for each key. Each belongs to a call or stream that waits for it, which bounds them. */
  readonly #looks = new Map<string, Promise<KeyRecord | null>>();

  constructor(
    private readonly scope: TenantScope,
    feed: SecurityFeed,
    @Inject(CONFIG) config: Config,
  ) {
    this.#known = new LRUCache({ max: MAX_KNOWN, ttl: config.AUTH_STATE_MAX_AGE_SECONDS * 1000 });
    feed.on('api_key', (changes) => {
      this.#forget(new Set(changes.map(({ key }) => key)));
      return Promise.resolve();
    });
    feed.on('subject', (changes) => {
      this.#forgetOwned(new Set(changes.map(({ key }) => JSON.stringify(JSON.parse(key)))));
      return Promise.resolve();
    });
    feed.onReset(() => {
      this.forgetAll();
      return Promise.resolve();
    });
  }

  /** Everything is to be found anew. */
  forgetAll(): void {
    this.#known.clear();
    this.#looks.clear();
  }

  /** The record as it is remembered now, without a look at the database. */
  peek(id: string): KeyRecord | undefined {
    return this.#known.get(id);
  }

  /** The record, remembered or looked up; null when there is no such key. @throws the driver's error */
  async get(id: string): Promise<KeyRecord | null> {
    return this.#known.get(id) ?? this.look(id);
  }

  /**
   * The same, with a look at the database in every case: an unknown id and a wrong secret of a key in use then take the
   * same time.
   * @throws the driver's error
   */
  async look(id: string): Promise<KeyRecord | null> {
    const found = await (this.#looks.get(id) ?? this.#look(id));
    // What is remembered also knows that its text was accepted: others' guesses must not make it forget.
    return this.#known.get(id) ?? found;
  }

  #look(id: string): Promise<KeyRecord | null> {
    const began = performance.now();
    const look = this.scope
      .system((manager) => manager.findOneBy(ApiKeyEntity, { id }))
      .then((row) => {
        if (row === null) return null;
        const record = new KeyRecord(row);
        // A change that was told meanwhile has ended this look: what it found may be from before.
        if (this.#looks.get(id) === look && !this.#known.has(id)) this.#known.set(id, record, { start: began });
        return record;
      })
      .finally(() => {
        if (this.#looks.get(id) === look) this.#looks.delete(id);
      });
    this.#looks.set(id, look);
    return look;
  }

  #forget(ids: ReadonlySet<string>): void {
    for (const id of ids) {
      this.#known.delete(id);
      this.#looks.delete(id);
    }
  }

  #forgetOwned(owners: ReadonlySet<string>): void {
    this.#forget(new Set([...this.#known].filter(([, record]) => owners.has(record.owner)).map(([id]) => id)));
    // Whose key is being looked up is not known yet.
    this.#looks.clear();
  }
}
