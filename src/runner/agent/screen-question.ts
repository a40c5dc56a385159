/** What is asked at the end of a screen: no more of it than that is told. */
import type { Patterns } from './patterns.js';

/** Lines at the end of a screen where a program asks; what is above may be said by anybody. */
const ASKING_LINES = 6;
/** Of a question: lines before the one that asks, and characters of all. */
const LINES_BEFORE = 3;
const MAX_QUESTION_LENGTH = 512;

/**
 * What a screen asks.
 * @param text the lines of the screen that have something on them
 * @param waiting matches where something is asked
 * @returns the line that asks and a few before it, undefined when nothing is asked
 */
export function questionOn(text: string, waiting: Patterns): string | undefined {
  const lines = text.split('\n');
  if (!waiting.match(lines.slice(-ASKING_LINES).join('\n'))) return undefined;
  const first = Math.max(0, lines.length - ASKING_LINES);
  const asking = lines.findLastIndex((line, index) => index >= first && waiting.match(line));
  return questionTo(lines, asking < 0 ? lines.length - 1 : asking);
}

/** What is at the end of a screen of which nothing is known. */
export function endOfScreen(text: string): string {
  const lines = text.split('\n');
  return questionTo(lines, lines.length - 1);
}

function questionTo(lines: readonly string[], last: number): string {
  const some = lines.slice(Math.max(0, last - LINES_BEFORE), last + 1);
  return some.join('\n').slice(-MAX_QUESTION_LENGTH);
}
