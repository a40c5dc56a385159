import { z } from 'zod';
import { sessionSchema } from './pty.schema.js';

const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}\p{Cs}]+$/u, 'contains control characters');

const id = sessionSchema.shape.id;
const grantee = z.strictObject({
  kind: z.enum(['subject', 'group']),
  /** Who vouches for that subject or group; the caller's own provider when absent. */
  provider: text(64).optional(),
  name: text(256),
});

/** What `POST /sessions/:id/share` has in its body. */
export const shareBodySchema = z.strictObject({
  grantee,
  level: z.enum(['view', 'input']),
  expires_at: z.iso.datetime({ offset: true, error: 'not an RFC 3339 time' }).optional(),
});

/** Sharing a session with a subject or group. */
export const shareSchema = shareBodySchema.extend({ id });
export type ShareCommand = z.output<typeof shareSchema>;

/** Taking a share back. */
export const unshareSchema = z.strictObject({ id, share: z.uuid({ error: 'not a share id' }) });
export type UnshareCommand = z.output<typeof unshareSchema>;
