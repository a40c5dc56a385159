import { z } from 'zod';
import { refusal } from './refusal.js';

/**
 * Text in a claim: no control characters, and no half characters, since the database stores every one of those as the
 * same U+FFFD.
 */
export const claimText = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^\p{Cc}\p{Cs}]+$/u);

/** A list of names in a claim. */
export const claimNames = z.array(claimText).max(256);

/** `scope` (RFC 8693 section 4.2): words separated by spaces. */
export const claimScope = z.string().max(4096);

/** The words of a `scope` claim. */
export const wordsOf = (scope: string): string[] => scope.split(' ').filter((word) => word !== '');

/**
 * A claim of the type it must have, never coerced.
 * @param name of ours, for the audit trail: `claim_<name>`
 * @throws DomainError JWT_INVALID
 */
export function typed<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw refusal('JWT_INVALID', `claim_${name}`);
  return parsed.data;
}
