/** How values of the wire become ours, and ours the wire's. */

/**
 * An enum value of the wire as its plain name; unspecified is absent; what is not known is left for the schema to refuse.
 * @param prefix that all values of the enum have: `SESSION_STATE_`
 */
export function plainEnum(value: unknown, prefix: `${string}_`): unknown {
  if (value === undefined || value === `${prefix}UNSPECIFIED`) return undefined;
  return typeof value === 'string' && value.startsWith(prefix) ? value.slice(prefix.length).toLowerCase() : value;
}

/** A time as protobuf. @param rfc3339 with milliseconds at most */
export function timestamp(rfc3339: string): { seconds: number; nanos: number } {
  const ms = Date.parse(rfc3339);
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: (ms - seconds * 1000) * 1_000_000 };
}
