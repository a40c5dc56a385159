import type { z } from 'zod';

/** What a signed text says; null when it has not the form of its kind. */
export function parsedDocument<Schema extends z.ZodType>(schema: Schema, document: string): z.output<Schema> | null {
  try {
    return schema.safeParse(JSON.parse(document)).data ?? null;
  } catch {
    return null;
  }
}
