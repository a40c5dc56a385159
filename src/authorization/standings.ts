import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { LRUCache } from 'lru-cache';
import { SecurityFeed } from '../database/security-feed.js';
import { TenantScope } from '../database/tenant-scope.js';
import type { Principal, Standing } from '../kernel/principal.js';

/** Subjects whose standing is remembered, and of those whose latest token was noted. */
const MAX_KNOWN = 10_000;
/** Subjects whose token waits to be noted; what does not fit is noted with the subject's next call. */
const MAX_PENDING = 1000;
const NOTHING: Standing = { roles: [], groups: [] };
/** A change of somebody else's that is not committed yet must not hold up the connection. */
const LOCK_TIMEOUT = `SET LOCAL lock_timeout = '1s'`;

/** Of each subject the latest token counts, whichever comes first. */
const NOTE = `
  INSERT INTO subjects (tenant, provider, subject, roles, groups, issued_at)
  SELECT tenant, provider, subject, ARRAY(SELECT jsonb_array_elements_text(roles)),
    ARRAY(SELECT jsonb_array_elements_text(groups)), issued_at
  FROM jsonb_to_recordset($1::jsonb)
    AS each (tenant text, provider text, subject text, roles jsonb, groups jsonb, issued_at timestamptz)
  ON CONFLICT (tenant, provider, subject) DO UPDATE
  SET roles = excluded.roles, groups = excluded.groups, issued_at = excluded.issued_at
  WHERE subjects.issued_at <= excluded.issued_at`;

/** A provider's names of roles as ours, by its map as it is now. */
export type RoleMaps = (provider: string, roles: readonly string[]) => readonly string[];

/**
 * What each subject was last vouched for by a token of his own. An API key is used while its owner is not there, and may
 * do no more than he: this is how that is known.
 */
@Injectable()
export class Standings {
  readonly #known = new LRUCache<string, Standing>({ max: MAX_KNOWN });
  /** Subject → when the last token that was noted of him was issued; an older one says nothing new. */
  readonly #noted = new LRUCache<string, number>({ max: MAX_KNOWN });
  /** What waits to be written, by subject, and the batch that is being written. */
  #pending = new Map<string, Principal>();
  #batch: ReadonlyMap<string, Principal> = new Map();
  #writing: Promise<void> | null = null;
  #mapRoles: RoleMaps = (_provider, roles) => roles;
  readonly #remapListeners: (() => void)[] = [];
  /** Counts what was forgotten, so that what is being read meanwhile is not remembered. */
  #forgotten = 0;

  constructor(
    private readonly scope: TenantScope,
    feed: SecurityFeed,
    private readonly logger: PinoLogger,
  ) {
    feed.on('subject', (changes) => {
      this.#forgotten += 1;
      for (const { key } of changes) this.#known.delete(subjectKey(JSON.parse(key) as string[]));
      return Promise.resolve();
    });
    feed.onReset(() => {
      this.#forgotten += 1;
      this.#known.clear();
      return Promise.resolve();
    });
  }

  /** What a provider called the roles is stored, and mapped when it is asked for: so a changed map holds at once. */
  useRoleMaps(maps: RoleMaps): void {
    this.#mapRoles = maps;
  }

  /** The role maps are others now. */
  remapped(): void {
    for (const listener of this.#remapListeners) listener();
  }

  /** Called when what {@link of} said may be otherwise now, without any subject having changed. */
  onRemapped(listener: () => void): void {
    this.#remapListeners.push(listener);
  }

  /**
   * What this subject was vouched for; nothing where he never came with a token of his own.
   * @throws the driver's error when it is not known and cannot be looked up
   */
  async of(tenant: string, provider: string, subject: string): Promise<Standing> {
    const { roles, groups } = await this.#vouched(tenant, provider, subject);
    return { roles: this.#mapRoles(provider, roles), groups };
  }

  /**
   * Notes what a token vouches for, without waiting. Not for tokens that were made from another credential: their
   * issue is later than what they say.
   */
  note(principal: Principal): void {
    const { issuedAt } = principal;
    const key = keyOf(principal);
    if (issuedAt === null || (this.#noted.get(key) ?? -Infinity) >= issuedAt.getTime()) return;
    if (this.#pending.size >= MAX_PENDING) return;
    this.#noted.set(key, issuedAt.getTime());
    this.#pending.set(key, principal);
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  /** Resolves when what was noted of this subject is stored, or could not be. */
  async settled(principal: Principal): Promise<void> {
    const key = keyOf(principal);
    while (this.#writing !== null && (this.#pending.has(key) || this.#batch.has(key))) await this.#writing;
  }

  /** One batch after the other, on one connection. */
  async #write(): Promise<void> {
    for (; this.#pending.size > 0; this.#batch = new Map()) {
      this.#batch = this.#pending;
      this.#pending = new Map();
      const rows = [...this.#batch.values()].map(toRow);
      try {
        await this.scope.system(async (manager) => {
          await manager.query(LOCK_TIMEOUT);
          await manager.query(NOTE, [JSON.stringify(rows)]);
        });
      } catch (error) {
        // Noted anew with the subject's next call.
        for (const key of this.#batch.keys()) this.#noted.delete(key);
        this.logger.warn({ err: error, subjects: rows.length }, 'what subjects hold was not noted');
      }
    }
  }

  async #vouched(tenant: string, provider: string, subject: string): Promise<Standing> {
    const key = subjectKey([tenant, provider, subject]);
    const known = this.#known.get(key);
    if (known) return known;
    const forgotten = this.#forgotten;
    const rows = await this.scope.within(tenant, (manager) =>
      manager.query<Standing[]>(
        'SELECT roles, groups FROM subjects WHERE tenant = $1 AND provider = $2 AND subject = $3',
        [tenant, provider, subject],
      ),
    );
    const standing = rows[0] ?? NOTHING;
    if (forgotten === this.#forgotten) this.#known.set(key, standing);
    return standing;
  }
}

const subjectKey = (parts: readonly string[]): string => JSON.stringify(parts);
const keyOf = ({ tenant, provider, subject }: Principal): string => subjectKey([tenant, provider, subject]);

const toRow = ({ tenant, provider, subject, roles, vouchedRoles = roles, groups, issuedAt }: Principal): object => ({
  ...{ tenant, provider, subject, groups, roles: vouchedRoles },
  issued_at: issuedAt,
});
