/** Lists that stay small enough for one answer, whatever the repository puts into them. */

/** What the lists of one answer may take together; a message of the link is 4 MiB at most. */
export const MAX_ANSWER_BYTES = 2 * 1024 * 1024;
/** What a message needs around each entry of a list: tags, lengths and numbers. */
const ENTRY_BYTES = 64;

/** Tag and length of one text in a list. */
export const LENGTH_BYTES = 5;

/** What a text takes in a message; bytes that are no UTF-8 are replaced there, by three each. */
export function textBytes(text: string | Buffer | undefined): number {
  return text === undefined ? 0 : Buffer.byteLength(text.toString());
}

/**
 * The first entries of a list that fit.
 * @param sizeOf an entry's texts, in bytes
 * @returns those, and how many bytes they take
 */
export function takeWithin<Entry>(
  entries: readonly Entry[],
  maxBytes: number,
  sizeOf: (entry: Entry) => number,
): { readonly taken: readonly Entry[]; readonly bytes: number } {
  let bytes = 0;
  for (const [index, entry] of entries.entries()) {
    const size = ENTRY_BYTES + sizeOf(entry);
    if (bytes + size > maxBytes) return { taken: entries.slice(0, index), bytes };
    bytes += size;
  }
  return { taken: entries, bytes };
}

/**
 * One page of a list, by id; it has one entry at least, so that whoever asks for the next page comes to an end.
 * @param after the last id of the page before; the first page when empty
 * @param textsOf an entry's texts
 */
export function pageWithin<Entry extends { readonly id: string }>(
  entries: readonly Entry[],
  after: string,
  textsOf: (entry: Entry) => readonly string[],
): { readonly page: readonly Entry[]; readonly more: boolean } {
  const rest = entries.filter(({ id }) => id > after).toSorted((one, other) => (one.id < other.id ? -1 : 1));
  const { taken } = takeWithin(rest, MAX_ANSWER_BYTES, (entry) => {
    return textsOf(entry).reduce((bytes, text) => bytes + textBytes(text) + LENGTH_BYTES, 0);
  });
  const page = taken.length > 0 ? taken : rest.slice(0, 1);
  return { page, more: page.length < rest.length };
}

/** A text's beginning, of so many bytes at most. */
export function cutText(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  // Not in the middle of a character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}
