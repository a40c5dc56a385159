import { z } from 'zod';
import { canonicalJson } from '../../kernel/canonical-json.js';
import { parsedDocument } from './document.js';
import type { Signed, SigningKey } from './signing-key.js';

const schema = z.strictObject({
  kind: z.literal('checkpoint'),
  node: z.string(),
  seq: z.int().min(1),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  count: z.int().min(1),
  time: z.iso.datetime(),
});

/** How far a chain went at a time: what a checkpoint's signature vouches for. */
export type Checkpoint = z.output<typeof schema>;

/** Signs where a chain is. */
export const signCheckpoint = (key: SigningKey, checkpoint: Omit<Checkpoint, 'kind'>): Signed =>
  key.sign(canonicalJson({ kind: 'checkpoint', ...checkpoint }));

/** What a checkpoint says; null when no key that counts has signed it, or it is none. */
export const readCheckpoint = (key: SigningKey, signed: Signed): Checkpoint | null =>
  key.verifies(signed) ? parsedDocument(schema, signed.document) : null;
