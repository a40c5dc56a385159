/** An event as its readers get it: every field of the row, with the names that are known in the place of their tokens. */
export interface EventView {
  readonly id: string;
  /** RFC 3339, UTC, microseconds. */
  readonly timestamp: string;
  readonly tenant: string;
  readonly user_id: string;
  readonly principal_kind: string | null;
  readonly auth_method: string | null;
  readonly credential_id: string | null;
  readonly action: string;
  readonly resource: string | null;
  readonly success: boolean;
  readonly reason: string | null;
  readonly level: string;
  readonly transport: string;
  readonly remote_addr: string;
  readonly user_agent: string | null;
  readonly request_id: string;
  readonly trace_id: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly node: string;
  /** 0 for events of before there were chains. */
  readonly seq: number;
  readonly prev_hash: string;
  readonly hash: string;
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
