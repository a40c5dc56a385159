import { displayWidth, shorten } from './display-width.js';
import { plain } from './failure.js';

/** One column of a table of `T`. */
export interface Column<T> {
  readonly heading: string;
  readonly of: (row: T) => string;
  /** May be shortened to make the table fit; an id may not. */
  readonly shrinks?: boolean;
}

const GAP = '  ';
/** What a column keeps when it is shortened. */
const MIN_WIDTH = 8;

/** How wide a table may be: the terminal's columns, or null where nobody's terminal is in the way. */
export function outputWidth(): number | null {
  return process.stdout.isTTY ? process.stdout.columns : null;
}

/**
 * Rows under their headings, columns aligned, without control characters.
 * @param width columns of the terminal; nothing is cut when null
 * @param options `heading: false` for more rows of a table that has begun
 */
export function table<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  width = outputWidth(),
  { heading: headed = true } = {},
): string {
  const cells = [
    columns.map(({ heading }) => heading),
    ...rows.map((row) => columns.map((column) => plain(column.of(row)))),
  ];
  const natural = columns.map((_, index) => Math.max(...cells.map((row) => displayWidth(row[index] ?? ''))));
  const widths = width === null ? natural : fitted(columns, natural, width);
  const lines = cells.map((row) => line(row, widths, width));
  return lines.slice(headed ? 0 : 1).join('\n');
}

/** Names and values under each other, without control characters. */
export function facts(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => displayWidth(plain(name))));
  return pairs.map(([name, value]) => `${padded(plain(name), width)}${GAP}${plain(value)}`).join('\n');
}

/** Takes from the widest column that may shrink, until the table fits or none may shrink any more. */
function fitted<T>(columns: readonly Column<T>[], natural: readonly number[], width: number): readonly number[] {
  const widths = [...natural];
  const gaps = GAP.length * (columns.length - 1);
  for (let excess = sum(widths) + gaps - width; excess > 0; excess -= 1) {
    const widest = Math.max(...widths.filter((each, index) => columns[index]?.shrinks === true && each > MIN_WIDTH), 0);
    if (widest === 0) break;
    const index = widths.findIndex((each, at) => each === widest && columns[at]?.shrinks === true);
    widths[index] = widest - 1;
  }
  return widths;
}

function line(row: readonly string[], widths: readonly number[], width: number | null): string {
  const text = row
    .map((cell, index) => padded(shorten(cell, widths[index] ?? 0), widths[index] ?? 0))
    .join(GAP)
    .trimEnd();
  return width === null ? text : shorten(text, width);
}

const padded = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - displayWidth(text)));
const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
