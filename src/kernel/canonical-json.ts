/** What JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/**
 * The one text of a JSON value, by RFC 8785 (JSON Canonicalization Scheme): members in the order of their names' UTF-16
 * code units, no white space, numbers and texts as ECMAScript writes them.
 * @throws RangeError for a number or a text that JSON has no exact form for: infinite, or with half a surrogate pair
 */
export function canonicalJson(value: Json): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new RangeError('a number that is not finite has no canonical form');
    return JSON.stringify(value);
  }
  if (value === null || typeof value === 'boolean') return String(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${quoted(name)}:${canonicalJson(value[name] ?? null)}`).join(',')}}`;
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

function quoted(text: string): string {
  if (!text.isWellFormed()) throw new RangeError('half a surrogate pair has no canonical form');
  return JSON.stringify(text);
}
