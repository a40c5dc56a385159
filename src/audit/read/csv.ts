import { EVENT_FIELDS, type EventView } from './event-view.js';

/** A spreadsheet takes what begins so for a formula. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

/** A cell by RFC 4180, which no spreadsheet runs: what looks like a formula gets a `'` before it. */
function cell(value: unknown): string {
  const text = typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const line = (values: readonly unknown[]): string => `${values.map(cell).join(',')}\r\n`;

/** The names of the columns. */
export const CSV_HEADER = line(EVENT_FIELDS);

/** One event; its metadata is JSON, and what is null is empty. */
export const csvLine = (event: EventView): string => line(EVENT_FIELDS.map((field) => event[field]));
