import { z } from 'zod';
import { canonicalJson } from '../../kernel/canonical-json.js';
import { parsedDocument } from './document.js';
import type { Signed, SigningKey } from './signing-key.js';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().min(0);
const rangeSchema = z
  .strictObject({ first: z.int().min(1), last: z.int().min(1), prev_hash: hash, hash })
  .refine(({ first, last }) => first <= last);
const schema = z.strictObject({
  kind: z.literal('tombstone'),
  month: z.string().regex(/^\d{4}-\d\d$/),
  events: count,
  unchained: count,
  chains: z.array(z.strictObject({ node: z.string(), ranges: z.array(rangeSchema).min(1) })),
  time: z.iso.datetime(),
});

/**
 * Events of one chain that were dropped, from `first` to `last`; `prev_hash` is that of the first, `hash` that of the last.
 * A month can have several: at its edge the order of times is not that of numbers.
 */
export type PrunedRange = z.output<typeof rangeSchema>;

/** What stands for a month that was dropped. */
export type Tombstone = z.output<typeof schema>;

export const signTombstone = (key: SigningKey, tombstone: Omit<Tombstone, 'kind'>): Signed =>
  key.sign(canonicalJson({ kind: 'tombstone', ...tombstone }));

/** What a tombstone says; null when no key that counts has signed it, or it is none. */
export const readTombstone = (key: SigningKey, signed: Signed): Tombstone | null =>
  key.verifies(signed) ? parsedDocument(schema, signed.document) : null;
