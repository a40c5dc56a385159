import { type EventFilter, wordsOf } from './event-filter.js';
import type { EventView } from './event-view.js';

/** Does an event fulfil a filter? The same as a page of the trail decides, for events that are new. */
export function matcher(filter: EventFilter): (event: EventView) => boolean {
  const { action, from, to, text, ...equal } = filter;
  const fields = Object.entries(equal).filter(([, wanted]) => wanted !== undefined);
  const words = text === undefined ? [] : wordsOf(text);
  return (event) =>
    fields.every(([field, wanted]) => event[field as keyof EventView] === wanted) &&
    (action === undefined || action.includes(event.action)) &&
    (from === undefined || event.timestamp >= from) &&
    (to === undefined || event.timestamp < to) &&
    (words.length === 0 || hasWords(event, words));
}

function hasWords({ action, resource, reason, request_id, metadata }: EventView, words: readonly string[]): boolean {
  const there = new Set(wordsOf([action, resource, reason, request_id, JSON.stringify(metadata)].join(' ')));
  return words.every((word) => there.has(word));
}
