/** What is asked at the end of a screen: no more of it than that is told. */
import type { Patterns } from './patterns.js';

/** Lines at the end of a screen where a program asks; what is above may be said by anybody. */
const ASKING_LINES = 6;
/** Of a question: lines before the one that asks, and characters of all. */
const LINES_BEFORE = 3;
const MAX_QUESTION_LENGTH = 512;
/** Of a dialog without a line above it: lines before the one that asks. */
const DIALOG_LINES = 12;
/** A line that is drawn over all of a dialog. */
const RULE = /[\u2500\u2501\u2550\u2594]{8}/;

/**
 * What a screen asks.
 * @param text the lines of the screen that have something on them
 * @param waiting matches where something is asked
 * @returns the line that asks and a few before it, undefined when nothing is asked
 */
export function questionOn(text: string, waiting: Patterns): string | undefined {
  const lines = text.split('\n');
  const asking = askingLine(lines, waiting);
  return asking === undefined ? undefined : questionTo(lines, asking);
}

/**
 * The dialog that a screen asks with: what it is about, the question, and the choices. What is above it may be said by
 * anybody, of other questions too.
 * @returns its lines, none when nothing is asked
 */
export function dialogOn(text: string, waiting: Patterns): readonly string[] {
  const lines = text.split('\n');
  const asking = askingLine(lines, waiting);
  if (asking === undefined) return [];
  const rule = lines.findLastIndex((line, index) => index < asking && RULE.test(line));
  return lines.slice(rule < 0 ? Math.max(0, asking - DIALOG_LINES) : rule + 1);
}

/** What is at the end of a screen of which nothing is known. */
export function endOfScreen(text: string): string {
  const lines = text.split('\n');
  return questionTo(lines, lines.length - 1);
}

function askingLine(lines: readonly string[], waiting: Patterns): number | undefined {
  if (!waiting.match(lines.slice(-ASKING_LINES).join('\n'))) return undefined;
  const first = Math.max(0, lines.length - ASKING_LINES);
  const asking = lines.findLastIndex((line, index) => index >= first && waiting.match(line));
  return asking < 0 ? lines.length - 1 : asking;
}

function questionTo(lines: readonly string[], last: number): string {
  const some = lines.slice(Math.max(0, last - LINES_BEFORE), last + 1);
  return some.join('\n').slice(-MAX_QUESTION_LENGTH);
}
