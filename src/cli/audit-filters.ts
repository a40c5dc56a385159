import type { ParseArgsConfig } from 'node:util';
import { parsePast } from './times.js';

/** The filters of every audit command, by their flags. */
export const FILTER_FLAGS = {
  user: { type: 'string' },
  action: { type: 'string' },
  resource: { type: 'string' },
  success: { type: 'string' },
  level: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  address: { type: 'string' },
  request: { type: 'string' },
  text: { type: 'string' },
} as const satisfies NonNullable<ParseArgsConfig['options']>;

/** What a flag is called on REST. */
const FIELDS: Readonly<Record<keyof typeof FILTER_FLAGS, string>> = {
  ...{ user: 'user_id', action: 'action', resource: 'resource', success: 'success', level: 'level' },
  ...{ from: 'from', to: 'to', address: 'remote_addr', request: 'request_id', text: 'text' },
};

type Given = { readonly [name in keyof typeof FILTER_FLAGS]?: string | undefined };

/** The filters that were given, as the server wants them. @throws UsageError for a time that is none */
export function filtersOf(values: Given, now: number): Record<string, string> {
  const query: Record<string, string> = {};
  for (const name of Object.keys(FIELDS) as (keyof typeof FIELDS)[]) {
    const value = values[name];
    if (value === undefined) continue;
    query[FIELDS[name]] = name === 'from' || name === 'to' ? parsePast(`--${name}`, value, now) : value;
  }
  return query;
}
