/** One schema per command that reads the trail. */
import { z } from 'zod';
import { EXPORT_FORMATS } from './event-export.js';
import { FILTERS, filterSchema, isInOrder, OUT_OF_ORDER } from './event-filter.js';
import { cursorSchema } from './page-cursor.js';

/** Most events of one page. */
export const MAX_PAGE = 100;

/** `GET /audit/events`, whose numbers are text in the address. */
export const eventsSchema = z
  .strictObject({
    ...FILTERS,
    limit: z
      .string()
      .regex(/^\d{1,3}$/, 'not a number')
      .transform(Number)
      .pipe(z.int().min(1).max(MAX_PAGE))
      .default(50),
    cursor: cursorSchema.optional(),
  })
  .refine(isInOrder, OUT_OF_ORDER);
export type EventsCommand = z.output<typeof eventsSchema>;

/** `GET /audit/events/stream`. */
export const streamSchema = filterSchema.refine(isInOrder, OUT_OF_ORDER);

/** `GET /audit/export`. */
export const exportSchema = z
  .strictObject({ ...FILTERS, format: z.enum(EXPORT_FORMATS).default('ndjson') })
  .refine(isInOrder, OUT_OF_ORDER);
export type ExportCommand = z.output<typeof exportSchema>;

const name = z
  .string()
  .min(1)
  .max(512)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'contains control characters');
/** Whom `/audit/subjects/:subject` is about. */
export const subjectSchema = z.strictObject({ subject: name });
export const providerSchema = z.strictObject({ provider: name.optional() });
