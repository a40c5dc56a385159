/** What is asked of the trail. Field names are those of the wire, on REST and on the command line. */
import { z } from 'zod';
import { AUDIT_ACTIONS } from '../../kernel/audit.js';

/** Most words of a `text`. */
export const MAX_WORDS = 10;
const MAX_TEXT = 200;
const MAX_NAME = 512;
const EARLIEST = Date.UTC(1970);
const LATEST = Date.UTC(9999, 11, 31);

/** No control characters, and no half characters, which the database would refuse. */
const plain = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'contains control characters');

/** The words of a text, in lower case: what is between them counts for nothing. */
export const wordsOf = (text: string): string[] =>
  text
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');

const ACTIONS: readonly string[] = Object.keys(AUDIT_ACTIONS);

/** One action of the catalogue, or with `*` behind it all that begin so. */
const action = plain(64).transform((text, context): readonly string[] => {
  const prefix = text.endsWith('*') ? text.slice(0, -1) : null;
  const meant = ACTIONS.filter((name) => (prefix === null ? name === text : prefix !== '' && name.startsWith(prefix)));
  if (meant.length > 0) return meant;
  context.addIssue({ code: 'custom', message: 'no action of the catalogue, and no beginning of one followed by *' });
  return z.NEVER;
});

/** A moment as the trail writes it: RFC 3339, UTC, microseconds. What is finer is cut off. */
const moment = z.iso
  .datetime({ offset: true, error: 'not a time such as 2030-01-31T12:00:00Z' })
  .max(40)
  .transform((text, context): string => {
    const [, fraction = ''] = /\.(\d+)/.exec(text) ?? [];
    const ms = Date.parse(text.replace(/\.\d+/, ''));
    if (ms >= EARLIEST && ms <= LATEST) {
      return `${new Date(ms).toISOString().slice(0, 19)}.${fraction.slice(0, 6).padEnd(6, '0')}Z`;
    }
    context.addIssue({ code: 'custom', message: 'not a time between 1970 and 9999' });
    return z.NEVER;
  });

const text = plain(MAX_TEXT)
  .refine((given) => wordsOf(given).length > 0, 'has no word')
  .refine((given) => wordsOf(given).length <= MAX_WORDS, `has more than ${String(MAX_WORDS)} words`);

/** The filters of every reading call; all that are given have to hold. */
export const FILTERS = {
  user_id: plain(MAX_NAME).optional(),
  action: action.optional(),
  resource: plain(MAX_NAME).optional(),
  success: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional(),
  level: z.enum(['info', 'warn', 'error']).optional(),
  from: moment.optional(),
  to: moment.optional(),
  remote_addr: plain(MAX_NAME).optional(),
  request_id: plain(MAX_NAME).optional(),
  text: text.optional(),
};
export const filterSchema = z.strictObject(FILTERS);
export type EventFilter = z.output<typeof filterSchema>;

/** `from` is the first moment, `to` the first one after the last. */
export const isInOrder = ({ from, to }: Pick<EventFilter, 'from' | 'to'>): boolean =>
  from === undefined || to === undefined || from < to;
export const OUT_OF_ORDER = { path: ['to'], error: 'not after from' };

/** The names of the filters that were given: what the trail says of a reading. */
export const filterNames = (filter: EventFilter): string[] =>
  Object.keys(FILTERS).filter((name) => filter[name as keyof EventFilter] !== undefined);
