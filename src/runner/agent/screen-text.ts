/** What can be read on a screen, from the bytes that draw it (screen/snapshot.ts). */

/** So much of the end of a screen's bytes is looked at; colours take most of it. */
const MAX_BYTES = 128 * 1024;
/** Lines with something on them, and characters of each. */
const MAX_LINES = 24;
const MAX_LINE_LENGTH = 240;
/** A step to the right of more columns than that separates words all the same. */
const MAX_STEP = 240;
const MAX_ROWS = 1000;

/** The other screen begins, at its home. */
const ALTERNATE = '\x1b[?47h\x1b[H';
/* eslint-disable no-control-regex -- control sequences begin with ESC */
const STEP = /\x1b\[(\d+)C/g;
const NEXT_LINE = /\r?\n|\r\x1b\[B/;
const PLACE = /\x1b\[(\d+);(\d+)H/g;
const SEQUENCE = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]/g;
/* eslint-enable no-control-regex */

export interface ScreenView {
  /** The last lines that have something on them. */
  readonly text: string;
  /** The program takes a paste in brackets. */
  readonly bracketedPaste: boolean;
}

/** A screen without anything on it. */
export const EMPTY_VIEW: ScreenView = { text: '', bracketedPaste: false };

/**
 * Reads a screen.
 * @param data what draws it
 * @param rows its height
 * @param rest the output after it, which has text only, at the cursor
 */
export function viewOf(data: Uint8Array, rows: number, rest: Uint8Array): ScreenView {
  const drawn = endOf(data);
  const alternate = drawn.lastIndexOf(ALTERNATE);
  const shown = alternate < 0 ? drawn : drawn.slice(alternate + ALTERNATE.length);
  const places = [...shown.matchAll(PLACE)];
  const lines = linesOf(places[0] === undefined ? shown : shown.slice(0, places[0].index));
  const [, row = '1', col = '1'] = places.at(-1) ?? [];
  put(lines, Math.max(0, lines.length - rows) + Number(row) - 1, Number(col) - 1, linesOf(endOf(rest)).join(' '));
  return { text: lastOf(lines), bracketedPaste: drawn.includes('\x1b[?2004h') };
}

/** The last lines of output as it came, for one that will not be drawn any more. */
export function textOfOutput(output: Uint8Array): string {
  return lastOf(linesOf(endOf(output)));
}

/** Cut in the middle of something it begins with the next line. */
function endOf(bytes: Uint8Array): string {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length <= MAX_BYTES) return all.toString();
  const text = all.toString('utf8', all.length - MAX_BYTES);
  return text.slice(text.indexOf('\n') + 1);
}

function linesOf(text: string): string[] {
  const stepped = text.replace(STEP, (_, columns: string) => ' '.repeat(Math.min(Number(columns), MAX_STEP)));
  return stepped.split(NEXT_LINE).map((line) => line.replace(SEQUENCE, '').replace(/\p{Cc}/gu, ''));
}

function put(lines: string[], row: number, col: number, text: string): void {
  if (text === '' || row > lines.length + MAX_ROWS) return;
  while (lines.length <= row) lines.push('');
  const line = (lines[row] ?? '').padEnd(Math.min(col, MAX_STEP));
  lines[row] = line.slice(0, col) + text + line.slice(col + text.length);
}

function lastOf(lines: readonly string[]): string {
  const cut = lines.map((line) => line.slice(0, MAX_LINE_LENGTH).trimEnd());
  return cut
    .filter((line) => line !== '')
    .slice(-MAX_LINES)
    .join('\n');
}
