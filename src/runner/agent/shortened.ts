/** A long text, as its beginning and its end: pure. */
import { StringDecoder } from 'node:string_decoder';

/** What is said in between takes no more. */
const MAX_GAP_BYTES = 64;

/**
 * @param limit bytes of the result at most; more than twice what is said in between
 * @returns the text, where it is too long with its middle left out, and the number of characters that were there
 */
export function shortened(text: string, limit: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= limit) return text;
  const half = Math.floor((limit - MAX_GAP_BYTES) / 2);
  // Cut in the middle of a character, that is left out.
  const head = new StringDecoder('utf8').write(bytes.subarray(0, half));
  let from = bytes.length - half;
  while (((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
  const tail = bytes.toString('utf8', from);
  const left = Array.from(text).length - Array.from(head).length - Array.from(tail).length;
  return `${head} … ${left} characters left out … ${tail}`;
}
