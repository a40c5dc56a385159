import { z } from 'zod';
import { MAX_SCOPE, MAX_SCOPES } from '../api-keys/api-keys.schema.js';

/** Text that a claim may have: no control characters, no half characters. */
const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}\p{Cs}]+$/u, 'contains control characters');

const MAX_TTL_SECONDS = 86_400;
const DEFAULT_TTL_SECONDS = 900;

export const exchangeSchema = z.strictObject({
  ttl_seconds: z.int().min(1).max(MAX_TTL_SECONDS).default(DEFAULT_TTL_SECONDS),
  scopes: z.array(z.string().max(MAX_SCOPE)).max(MAX_SCOPES).optional(),
});
export type ExchangeCommand = z.output<typeof exchangeSchema>;

export const revokeSchema = z
  .strictObject({
    jti: text(256).optional(),
    subject: text(256).optional(),
    provider: text(64).optional(),
    reason: text(200).optional(),
  })
  .refine(({ jti, subject }) => (jti === undefined) !== (subject === undefined), {
    path: ['jti'],
    error: 'either jti or subject is needed, not both',
  });
export type RevokeCommand = z.output<typeof revokeSchema>;

export const revocationsQuerySchema = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'not a number')
    .transform(Number)
    .pipe(z.int().min(1).max(100))
    .default(50),
  cursor: z.uuid({ error: 'not a cursor' }).optional(),
});
export type RevocationsQuery = z.output<typeof revocationsQuerySchema>;
