/** One schema per command on secrets. Field names are those of the wire. */
import { z } from 'zod';
import { mask } from '../kernel/mask.js';
import { isSecretReference } from '../kernel/secret-name.js';
import { MAX_SECRET_BYTES } from '../sealing/sealed-secrets.js';

const MAX_LISTED = 100;

const name = z
  .string()
  .refine(isSecretReference, 'not a name: 1 to 100 letters, digits, dots, dashes and underscores')
  // A name is shown, and on record.
  .refine((text) => mask(text) === text, 'is a secret itself, which a name must not be');

const value = z
  .string()
  .min(1)
  .refine((text) => text.isWellFormed(), 'contains half a character')
  .refine((text) => Buffer.byteLength(text) <= MAX_SECRET_BYTES, `more than ${MAX_SECRET_BYTES} bytes`);

export const secretSchema = z.strictObject({ name });
export type SecretCommand = z.output<typeof secretSchema>;

export const putSchema = z.strictObject({ value });
export type PutCommand = z.output<typeof putSchema>;

/** A cursor is the last name of the page before. */
export const listSchema = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'not a number')
    .transform(Number)
    .pipe(z.int().min(1).max(MAX_LISTED))
    .default(50),
  cursor: name.optional(),
});
export type ListCommand = z.output<typeof listSchema>;

export const rekeySchema = z.strictObject({ all_tenants: z.boolean().default(false) });
export type RekeyCommand = z.output<typeof rekeySchema>;
