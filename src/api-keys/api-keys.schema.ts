/** One schema per command on keys. Field names are those of the wire. */
import { z } from 'zod';
import { isScope } from '../authorization/scopes.js';
import { isKeyId } from '../kernel/api-key-text.js';
import { isCidr } from '../kernel/cidr.js';
import { KEY_STATES } from './key-standing.js';

export const MAX_ROLES = 32;
export const MAX_SCOPES = 64;
const MAX_CIDRS = 64;
/** Characters of one scope. */
export const MAX_SCOPE = 320;
const MAX_RATE = 1_000_000;
const MAX_GRACE_SECONDS = 30 * 24 * 3600;
const DEFAULT_GRACE_SECONDS = 24 * 3600;

/** No control characters, and no half characters, which the database would store as something else. */
const plain = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'contains control characters');
/** Refuses by the count, before each entry is looked at. */
const list = <T extends z.ZodType<string, string>>(entry: T, max: number) =>
  z
    .unknown()
    .refine((value) => !Array.isArray(value) || value.length <= max, `more than ${max}`)
    .pipe(z.array(entry).min(1))
    .transform((entries) => [...new Set(entries)]);

const id = z.string().refine(isKeyId, 'not a key id');
const scope = z
  .string()
  .max(MAX_SCOPE)
  .refine(isScope, 'not a scope: a permission or area:*, or one of them @<resource>');
const cidr = z.string().max(64).refine(isCidr, 'not an address or network such as 10.0.0.0/8');
const time = z.iso
  .datetime({ offset: true, error: 'not a time such as 2030-01-31T12:00:00Z' })
  .max(40)
  .transform((text) => new Date(text));

const name = plain(100).min(1);
const description = plain(1000);
const scopes = list(scope, MAX_SCOPES);
const allowedCidrs = list(cidr, MAX_CIDRS);
const rateLimit = z.int().min(1).max(MAX_RATE);

export const createSchema = z.strictObject({
  name,
  description: description.default(''),
  owner: plain(256).min(1).optional(),
  roles: list(plain(64).min(1), MAX_ROLES).optional(),
  scopes: scopes.optional(),
  allowed_cidrs: allowedCidrs.optional(),
  rate_limit_per_minute: rateLimit.optional(),
  expires_at: time.optional(),
});
export type CreateCommand = z.output<typeof createSchema>;

export const updateSchema = z.strictObject({
  name: name.optional(),
  description: description.optional(),
  scopes: scopes.optional(),
  allowed_cidrs: allowedCidrs.optional(),
  rate_limit_per_minute: rateLimit.optional(),
  expires_at: time.optional(),
});
export type UpdateCommand = z.output<typeof updateSchema>;

export const rotateSchema = z
  .strictObject({
    grace_seconds: z.int().min(0).max(MAX_GRACE_SECONDS).default(DEFAULT_GRACE_SECONDS),
    expires_at: time.optional(),
  })
  .nullish()
  .transform((command) => command ?? { grace_seconds: DEFAULT_GRACE_SECONDS });
export type RotateCommand = z.output<typeof rotateSchema>;

export const revokeSchema = z
  .strictObject({ reason: plain(200).optional() })
  .nullish()
  .transform((command) => command ?? {});
export type RevokeCommand = z.output<typeof revokeSchema>;

export const keySchema = z.strictObject({ id });

export const listSchema = z.strictObject({
  owner: plain(256).min(1).optional(),
  state: z.enum(KEY_STATES).optional(),
  expiring: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional(),
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'not a number')
    .transform(Number)
    .pipe(z.int().min(1).max(100))
    .default(50),
  cursor: id.optional(),
});
export type ListCommand = z.output<typeof listSchema>;

/** The header that makes a repeated creation one. */
export const idempotencySchema = z.strictObject({
  'Idempotency-Key': z
    .string()
    .regex(/^[\x20-\x7e]{1,128}$/, '1 to 128 printable ASCII characters')
    .optional(),
});
