import type { AuditEvent } from '../record/audit-event.js';
import type { Where } from './alert-file.js';

type Value = string | number | boolean;

/** Has the event all that is asked for? A list in its metadata has it when one of its entries does. */
export function matches(event: AuditEvent, { metadata = {}, ...fields }: Where): boolean {
  return (
    Object.entries(fields).every(
      ([name, wanted]) => wanted === undefined || has(event[name as keyof typeof fields], wanted),
    ) && Object.entries(metadata).every(([name, wanted]) => has(event.metadata[name], wanted))
  );
}

function has(found: unknown, wanted: Value | readonly Value[]): boolean {
  const values: readonly unknown[] = Array.isArray(found) ? found : [found];
  return [wanted].flat().some((each) => values.includes(each));
}

/** For how many occurrences an event stands: what is repeated within a minute is told as one, with its number. */
export function occurrences({ metadata }: AuditEvent): number {
  const { repeated } = metadata;
  return typeof repeated === 'number' && repeated > 0 ? repeated : 1;
}

/** A count of what happened before, rather than something that happens now? */
export const isRepetition = ({ metadata }: AuditEvent): boolean => metadata['repeated'] !== undefined;
