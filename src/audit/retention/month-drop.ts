import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../../database/tenant-scope.js';
import type { SigningKey } from '../chain/signing-key.js';
import { monthsThere } from '../chain/months-there.js';
import { signTombstone } from '../chain/tombstone.js';
import { eventsOfMonth } from '../verify/event-rows.js';
import { MonthRecord } from './month-record.js';

/** Of several gateways one drops at a time. */
const LOCK = `SELECT pg_try_advisory_xact_lock(hashtext('audit_drop_month')) AS mine`;

/** The first moment of the month that is so many months away. */
export const monthFrom = (at: Date, months: number): Date =>
  new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + months));

/** `2025-10`. */
export const monthName = (month: Date): string => month.toISOString().slice(0, 7);

/**
 * Drops a month and leaves a signed tombstone for it.
 * @param time now, RFC 3339
 * @returns how many events it had; null when another gateway drops at this moment, or did before
 * @throws MonthKept when something in it is not as it was written; the driver's error when it is in use (55P03)
 */
export function dropMonth(scope: TenantScope, key: SigningKey, month: Date, time: string): Promise<number | null> {
  return scope.system(async (manager) => {
    const locked: unknown = await manager.query(LOCK);
    if ((locked as { mine: boolean }[])[0]?.mine !== true) return null;
    // Another gateway may have dropped it since the months were looked up.
    if (!(await monthsThere(manager)).some((each) => each.getTime() === month.getTime())) return null;
    const record = await recordOf(manager, month);
    const signed = signTombstone(key, record.tombstone(monthName(month), time));
    // It counts again under its lock: what came meanwhile is not dropped.
    await manager.query('SELECT audit_drop_month($1, $2, $3, $4, $5)', [
      ...[month, record.events, signed.document, signed.key_id, signed.signature],
    ]);
    return record.events;
  });
}

async function recordOf(manager: EntityManager, month: Date): Promise<MonthRecord> {
  const record = new MonthRecord();
  for await (const page of eventsOfMonth(manager, month)) for (const row of page) record.take(row);
  return record;
}
