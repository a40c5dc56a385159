import { UsageError } from './failure.js';

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;
/** Farthest moment that a `Date` holds, in seconds since 1970 (ECMA-262, section 21.4.1.1). */
const MAX_SECONDS = 8.64e12;

/** `30d`, `12h`, `15m`, `45s` or `0`, in seconds. @throws UsageError for anything else */
export function parseSpan(flag: string, text: string): number {
  const seconds = spanOf(text);
  if (seconds === null) throw new UsageError(`${flag} takes a time span like 30d, 12h, 15m or 45s`);
  return seconds;
}

/**
 * A moment to come: a time span from now, or a date and time as in RFC 3339.
 * @param now milliseconds since 1970
 * @returns the moment as RFC 3339, UTC
 * @throws UsageError for anything else, and for what is not in the future
 */
export function parseMoment(flag: string, text: string, now: number): string {
  const span = spanOf(text);
  const moment = span === null ? dateOf(text) : now + span * 1000;
  if (moment === null) throw new UsageError(`${flag} takes a time span like 30d, or a time like 2030-01-31T12:00:00Z`);
  if (moment <= now) throw new UsageError(`${flag} takes a time that is still to come`);
  return new Date(moment).toISOString();
}

/**
 * A moment that may be past: how long ago, or a date and time as in RFC 3339, which is kept as it is written.
 * @param now milliseconds since 1970
 * @returns RFC 3339
 * @throws UsageError for anything else
 */
export function parsePast(flag: string, text: string, now: number): string {
  const span = spanOf(text);
  if (span !== null) return new Date(now - span * 1000).toISOString();
  if (dateOf(text) === null)
    throw new UsageError(`${flag} takes a time like 2030-01-31T12:00:00Z, or how long ago, like 12h`);
  return text;
}

function spanOf(text: string): number | null {
  if (text === '0') return 0;
  const [, digits, unit] = /^(\d{1,5})([smhd])$/.exec(text) ?? [];
  return digits === undefined || unit === undefined ? null : Number(digits) * (UNIT_SECONDS[unit] ?? 0);
}

/** Milliseconds since 1970; null when it is no date, or no day of its month. */
function dateOf(text: string): number | null {
  const [, year, month, day] = RFC_3339.exec(text) ?? [];
  // `Date` takes 30 February for 2 March.
  const counted = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (counted.getUTCDate() !== Number(day) || counted.getUTCMonth() !== Number(month) - 1) return null;
  const moment = Date.parse(text);
  return Number.isNaN(moment) ? null : moment;
}

/** How long, in the greatest unit that fits: `12s`, `5m`, `3h`, `2d`. Nothing is less than `0s`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

/** `in 14m`, `3h ago`. Both times in milliseconds since 1970. */
export function relative(moment: number, now: number): string {
  return moment > now ? `in ${span(moment - now)}` : `${span(now - moment)} ago`;
}

/** A moment that the server names in RFC 3339, relative to now; `never` when there is none. */
export function relativeText(moment: string | null, now: number): string {
  if (moment === null) return 'never';
  const ms = Date.parse(moment);
  return Number.isNaN(ms) ? 'unknown' : relative(ms, now);
}

/** Seconds since 1970, as claims have them, in RFC 3339; null when it is no moment. */
export function fromSeconds(seconds: unknown): string | null {
  if (typeof seconds !== 'number' || !(Math.abs(seconds) <= MAX_SECONDS)) return null;
  return new Date(seconds * 1000).toISOString();
}
