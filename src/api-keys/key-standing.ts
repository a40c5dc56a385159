import { DomainError } from '../kernel/errors.js';
import type { ApiKeyEntity } from './api-key.entity.js';

/** Why a key is not accepted: for the audit trail only. The caller is told the same for all of them. */
export type KeyRefusal =
  'malformed' | 'unknown' | 'secret' | 'prefix' | 'revoked' | 'expired' | 'grace_over' | 'address';

/** What is shown of a key's life. A rotated key works until its grace ends. */
export const KEY_STATES = ['active', 'rotated', 'expired', 'revoked'] as const;
export type KeyState = (typeof KEY_STATES)[number];

type Times = Pick<ApiKeyEntity, 'revokedAt' | 'expiresAt' | 'rotatedTo' | 'graceUntil'>;

/**
 * Why the key is no good at this time; null when it is good.
 * @param now milliseconds since 1970
 */
export function endedBy(row: Times, now: number): Extract<KeyRefusal, 'revoked' | 'expired' | 'grace_over'> | null {
  if (row.revokedAt !== null) return 'revoked';
  if (row.expiresAt !== null && row.expiresAt.getTime() <= now) return 'expired';
  if (row.rotatedTo !== null && (row.graceUntil?.getTime() ?? 0) <= now) return 'grace_over';
  return null;
}

/** @param now milliseconds since 1970 */
export function stateOf(row: Times, now: number): KeyState {
  if (row.revokedAt !== null) return 'revoked';
  if (row.expiresAt !== null && row.expiresAt.getTime() <= now) return 'expired';
  return row.rotatedTo === null ? 'active' : 'rotated';
}

/** When the key ends by itself: its expiry or the end of its grace, whichever is earlier; null for never. */
export function endOf(row: Times): Date | null {
  const ends = [row.expiresAt, row.rotatedTo === null ? null : (row.graceUntil ?? new Date(0))];
  return ends.reduce<Date | null>(
    (earlier, each) => (earlier === null || (each !== null && each < earlier) ? each : earlier),
    null,
  );
}

/** The one refusal of a key. */
export const keyRefused = (reason: KeyRefusal): DomainError =>
  new DomainError('API_KEY_INVALID', 'The API key is not valid.', { reason });

/** The row. @throws DomainError NOT_FOUND, for what was removed by hand after the guard had found it */
export function found(row: ApiKeyEntity | null): ApiKeyEntity {
  if (row === null) throw new DomainError('NOT_FOUND', 'There is no such resource.');
  return row;
}

/** The refusal to change what is no good any more. */
export const notActive = (): DomainError =>
  new DomainError('KEY_NOT_ACTIVE', 'The key was revoked or rotated, or has expired.');
