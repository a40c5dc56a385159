import type { EventPlace } from '../chain/event-rows.js';
import type { AuditEvent } from '../record/audit-event.js';

/** An event as its readers get it: every field of the row, with the names that are known in the place of their tokens. */
export interface EventView extends Omit<AuditEvent, 'metadata'>, EventPlace {
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** The fields in the order in which they are told. */
export const EVENT_FIELDS = [
  ...['id', 'timestamp', 'tenant', 'user_id', 'principal_kind', 'auth_method', 'credential_id', 'action'],
  ...['resource', 'success', 'reason', 'level', 'transport', 'remote_addr', 'user_agent', 'request_id', 'trace_id'],
  ...['metadata', 'node', 'seq', 'prev_hash', 'hash'],
] as readonly (keyof EventView)[];

/** A row as {@link EVENT_COLUMNS} gives it: the driver makes a text of a number that may not fit. */
export interface EventRow extends Omit<EventView, 'seq'> {
  readonly seq: string;
}

/** What is selected of `audit_events e`. The driver's dates have no microseconds, so the time is made a text here. */
export const EVENT_COLUMNS = EVENT_FIELDS.map((field) =>
  field === 'timestamp'
    ? `to_char(e.timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS timestamp`
    : `e.${field}`,
).join(', ');
