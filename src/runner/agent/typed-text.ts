/** Text that is typed into a program, or given to it otherwise. */
import { DomainError } from '../../kernel/errors.js';

/** As one argument of a program it has to be less than 128 KiB. */
export const MAX_TEXT_BYTES = 100 * 1024;
// eslint-disable-next-line no-control-regex -- all of them, but for tab and line feed
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;
const PASTE_BEGIN = '\x1b[200~';
const PASTE_END = '\x1b[201~';

/**
 * The text without control characters, of which lines and tabs alone are kept: what ends a paste, interrupts a program or
 * answers its terminal is not to come out of a text.
 * @throws DomainError INVALID_ARGUMENT when it is too long
 */
export function plainText(text: string, field: string): string {
  if (Buffer.byteLength(text) > MAX_TEXT_BYTES) {
    const problem = `may be ${MAX_TEXT_BYTES} bytes long at most`;
    throw new DomainError('INVALID_ARGUMENT', `${field} ${problem}.`, { details: { fields: [{ field, problem }] } });
  }
  return text.replace(/\r\n?/g, '\n').replace(CONTROL, '');
}

/**
 * The bytes that type `text` (from {@link plainText}) without submitting it.
 * @param bracketed the program takes a paste in brackets; for any other a line feed would be Enter, a tab a completion
 */
export function typedText(text: string, bracketed: boolean): Buffer {
  return Buffer.from(bracketed ? `${PASTE_BEGIN}${text}${PASTE_END}` : text.replace(/[\n\t]+/g, ' '));
}
