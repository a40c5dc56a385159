import { isDeepStrictEqual } from 'node:util';

/** Fields that an event is to have; of its metadata only those that are named. */
export type Expected = Readonly<Record<string, unknown>> & { readonly metadata?: Readonly<Record<string, unknown>> };

/** What a row of `audit_trail` and its line in the log both have, beside the time. */
const FIELDS = [
  ...['id', 'tenant', 'user_id', 'principal_kind', 'auth_method', 'credential_id', 'action', 'resource', 'success'],
  ...['reason', 'level', 'transport', 'remote_addr', 'user_agent', 'request_id', 'trace_id', 'metadata', 'node', 'seq'],
  ...['prev_hash', 'hash'],
] as const;

/** Does a row or line say what is expected? */
export function says(event: Readonly<Record<string, unknown>>, { metadata = {}, ...fields }: Expected): boolean {
  const told = (event['metadata'] ?? {}) as Record<string, unknown>;
  return (
    Object.entries(fields).every(([name, value]) => isDeepStrictEqual(event[name], value)) &&
    Object.entries(metadata).every(([name, value]) => isDeepStrictEqual(told[name], value))
  );
}

/** The fields of a row or line in a form in which one can be compared with the other. */
export function comparable(event: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const fields = FIELDS.map((name) => [name, name === 'seq' ? Number(event[name]) : event[name]]);
  // PostgreSQL's driver gives milliseconds.
  const timestamp = new Date(event['timestamp'] as string | Date).toISOString();
  return { ...(Object.fromEntries(fields) as Record<string, unknown>), timestamp };
}
