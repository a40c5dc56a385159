import { z } from 'zod';

/** A place in the trail: behind the event of this time and id, on the way to older ones. */
export interface PageCursor {
  /** RFC 3339, UTC, microseconds. */
  readonly timestamp: string;
  readonly id: string;
}

/** The id below every other. */
const NO_ID = '00000000-0000-0000-0000-000000000000';

/** Before everything at or after a moment. */
export const before = (timestamp: string): PageCursor => ({ timestamp, id: NO_ID });

/** As text for the wire: `<timestamp>_<id>`. */
export const cursorText = ({ timestamp, id }: PageCursor): string => `${timestamp}_${id}`;

const partsSchema = z.tuple([
  z.iso.datetime({ precision: 6 }).refine((time) => !time.startsWith('0000')),
  z.guid().transform((id) => id.toLowerCase()),
]);

/** What {@link cursorText} made, and nothing else. */
export const cursorSchema = z
  .string()
  .max(80)
  .transform((text, context): PageCursor => {
    const parts = partsSchema.safeParse(text.split('_'));
    if (parts.success) return { timestamp: parts.data[0], id: parts.data[1] };
    context.addIssue({ code: 'custom', message: 'not a next_cursor of an answer' });
    return z.NEVER;
  });
