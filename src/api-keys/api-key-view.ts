import type { ApiKeyEntity } from './api-key.entity.js';
import { endedBy, type KeyState, stateOf } from './key-standing.js';

const DAY_MS = 24 * 3600 * 1000;
/** A key that ends within these is shown as expiring, and on record once a day. */
export const EXPIRING_DAYS = 7;

/** A key as it is shown: everything but what could be used. */
export interface ApiKeyView {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly owner: string;
  readonly owner_provider: string;
  readonly tenant: string;
  readonly created_by: string;
  /** `gh_live_<id>_****<last four>`. */
  readonly display: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[] | null;
  readonly allowed_cidrs: readonly string[] | null;
  readonly rate_limit_per_minute: number | null;
  readonly state: KeyState;
  /** Ends within a week. */
  readonly expiring: boolean;
  /** Good, and not used for API_KEY_UNUSED_DAYS. */
  readonly unused: boolean;
  /** RFC 3339, UTC, as all times here. */
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
  readonly last_used_ip: string | null;
  readonly use_count: number;
  readonly revoked_at: string | null;
  readonly revoked_by: string | null;
  readonly revoked_reason: string | null;
  readonly rotated_from: string | null;
  readonly rotated_to: string | null;
  readonly grace_until: string | null;
  readonly created_at: string;
}

/**
 * @param now milliseconds since 1970
 * @param unusedDays days without use after which a key is flagged
 */
export function toView(row: ApiKeyEntity, now: number, unusedDays: number): ApiKeyView {
  const good = endedBy(row, now) === null;
  const ends = row.expiresAt?.getTime() ?? Infinity;
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    owner: row.ownerSubject,
    owner_provider: row.ownerProvider,
    tenant: row.tenant,
    created_by: row.createdBy,
    display: `${row.prefix}_${row.id}_****${row.lastFour}`,
    roles: row.roles,
    scopes: row.scopes,
    allowed_cidrs: row.allowedCidrs,
    rate_limit_per_minute: row.rateLimitPerMinute,
    state: stateOf(row, now),
    expiring: stateOf(row, now) === 'active' && ends <= now + EXPIRING_DAYS * DAY_MS,
    unused: good && (row.lastUsedAt ?? row.createdAt).getTime() <= now - unusedDays * DAY_MS,
    expires_at: textOf(row.expiresAt),
    last_used_at: textOf(row.lastUsedAt),
    last_used_ip: row.lastUsedIp,
    use_count: Number(row.useCount),
    revoked_at: textOf(row.revokedAt),
    revoked_by: row.revokedBy,
    revoked_reason: row.revokedReason,
    rotated_from: row.rotatedFrom,
    rotated_to: row.rotatedTo,
    grace_until: textOf(row.graceUntil),
    created_at: row.createdAt.toISOString(),
  };
}

const textOf = (date: Date | null): string | null => date?.toISOString() ?? null;
