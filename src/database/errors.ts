/** What errors of PostgreSQL and of the way to it mean. Only facts: who is told what is decided elsewhere. */

/** The network's codes for: it cannot be reached. */
const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/**
 * SQLSTATEs of a database that takes no queries, or not this kind now: connection lost (08), out of disk, memory or
 * connections (53), statement cancelled or timed out (57014), shutting down or starting (57P0x), an input or output
 * error (58030), read-only after a failover (25006), transaction timed out (25P03).
 */
const UNAVAILABLE = /^(08\w{3}|53\w{3}|57014|57P0\w|58030|25006|25P03)$/;

/** What `pg` says without a code. */
const UNAVAILABLE_TEXT =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Query read timeout)/;

/** Data exception, integrity constraint violation, limit of the program: this row is refused now and for ever. */
const ROW_REFUSED = /^(2[23]|54)\w{3}$/;

/** Does this error mean that PostgreSQL is away or takes no queries now, rather than that a query was wrong? */
export function isDatabaseAway(thrown: unknown): boolean {
  const { code, message, syscall, driverError } = factsOf(thrown);
  if (NETWORK.has(code) || UNAVAILABLE.test(code) || UNAVAILABLE_TEXT.test(message)) return true;
  // A socket that is not there; a missing file or program has the same code and another call.
  if (code === 'ENOENT' && syscall === 'connect') return true;
  return driverError !== undefined && isDatabaseAway(driverError);
}

/** Is it that a row with this key is there already? */
export function isAlreadyThere(thrown: unknown): boolean {
  const { code, driverError } = factsOf(thrown);
  return code === '23505' || (driverError !== undefined && isAlreadyThere(driverError));
}

/** Is it that a table in parts has none for a row? */
export function isPartMissing(thrown: unknown): boolean {
  const { code, message, driverError } = factsOf(thrown);
  if (code === '23514' && message.startsWith('no partition of relation')) return true;
  return driverError !== undefined && isPartMissing(driverError);
}

/** Is it that somebody else holds what was to be locked? */
export function isLockNotHad(thrown: unknown): boolean {
  const { code, driverError } = factsOf(thrown);
  return code === '55P03' || (driverError !== undefined && isLockNotHad(driverError));
}

/** Does this error mean that PostgreSQL refused the values of a row, and would at every later try? */
export function isRowRefused(thrown: unknown): boolean {
  const { code, driverError } = factsOf(thrown);
  return ROW_REFUSED.test(code) || (driverError !== undefined && isRowRefused(driverError));
}

/** What is known of a thrown value; TypeORM wraps the driver's error. */
function factsOf(thrown: unknown): { code: string; message: string; syscall: unknown; driverError: unknown } {
  const { code, message, syscall, driverError } = Object(thrown) as Record<string, unknown>;
  return { code: textOf(code), message: textOf(message), syscall, driverError };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
