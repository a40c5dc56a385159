import type { IBuffer, IBufferCell, IBufferLine } from '@xterm/headless';
import { linkOf, linkSequence, sgrOf } from './attributes.js';
import type { Attributes, EmulatorState } from './emulator.js';

const PLAIN = '\x1b[0m';

/** Attributes of cells, most of which are the same as the one before. */
type Cell = IBufferCell & Attributes;

/**
 * The text that puts the lines of a buffer, scrollback first, into an empty one of the same width whose cursor is at
 * home. The cursor ends wherever it does; attributes end plain.
 * @param first the line to begin with
 */
export function paint(buffer: IBuffer, cols: number, first: number, state: EmulatorState): string {
  const painter = new Painter(buffer, cols, state);
  for (let row = first; row < buffer.length; row += 1) painter.row(row);
  return painter.text();
}

class Painter {
  readonly #parts: string[] = [];
  readonly #cell: Cell;
  /** The sequence in force. */
  #sgr = PLAIN;
  /** The hyperlink in force. */
  #link = 0;

  constructor(
    private readonly buffer: IBuffer,
    private readonly cols: number,
    private readonly state: EmulatorState,
  ) {
    this.#cell = buffer.getNullCell() as Cell;
  }

  text(): string {
    this.#plain();
    this.#useLink(0);
    return this.#parts.join('');
  }

  /** One line, and the step to the next one. */
  row(index: number): void {
    const line = this.buffer.getLine(index);
    if (!line) return;
    // Beyond its end the emulator's list begins anew.
    const next = index + 1 < this.buffer.length ? this.buffer.getLine(index + 1) : undefined;
    if (next?.isWrapped !== true) {
      this.#cells(line);
      if (next) this.#newLine();
    } else if (this.#wrapsByItself(line, next)) {
      // The cursor waits behind the last column; what is printed next goes to the next line.
      this.#cells(line);
      this.#plain();
    } else {
      this.#forceWrap();
      this.#cells(line);
      this.#plain();
      this.#parts.push('\r\x1b[B');
    }
  }

  /** A new line is filled with the background in force: it has to be none. */
  #newLine(): void {
    this.#plain();
    this.#parts.push('\r\n');
  }

  #plain(): void {
    if (this.#sgr !== PLAIN) this.#parts.push(PLAIN);
    this.#sgr = PLAIN;
  }

  /** Would printing the next line's first character wrap, as it did once? Cells may have been erased since. */
  #wrapsByItself(line: IBufferLine, next: IBufferLine): boolean {
    const last = line.getCell(this.cols - 1, this.#cell);
    if (!last || (last.getChars() === '' && last.getWidth() !== 0)) return false;
    const first = next.getCell(0, this.#cell);
    return first !== undefined && first.getChars() !== '';
  }

  /** Marks the next line as the continuation of this one, with nothing on either; ends at this one's beginning. */
  #forceWrap(): void {
    this.#plain();
    this.#useLink(0);
    this.#parts.push('-'.repeat(this.cols + 1), `\x1b[D\x1b[X\x1b[A\r\x1b[${this.cols}X`);
  }

  /** The characters of a line, and its coloured blanks. What is neither is skipped. */
  #cells(line: IBufferLine): void {
    for (let col = 0; col < this.cols;) {
      const cell = line.getCell(col, this.#cell) as Cell | undefined;
      if (cell === undefined) return;
      if (cell.getChars() !== '') {
        this.#use(cell);
        this.#useLink(linkOf(cell, this.state));
        this.#parts.push(cell.getChars());
        col += Math.max(1, cell.getWidth());
      } else col = this.#blanks(line, col, cell);
    }
  }

  /** Cells of one background with nothing in them. @returns the first column after them */
  #blanks(line: IBufferLine, from: number, first: Cell): number {
    const plain = first.isBgDefault();
    const mode = first.getBgColorMode();
    const color = first.getBgColor();
    if (!plain) this.#use(first);
    let col = from;
    for (let cell: IBufferCell | undefined = first; cell?.getChars() === ''; cell = line.getCell(col, this.#cell)) {
      if (cell.getBgColorMode() !== mode || cell.getBgColor() !== color) break;
      col += 1;
    }
    if (!plain) this.#parts.push(`\x1b[${col - from}X`);
    if (col < this.cols) this.#parts.push(`\x1b[${col - from}C`);
    return col;
  }

  #use(attributes: Attributes): void {
    const sgr = sgrOf(attributes);
    if (sgr === this.#sgr) return;
    this.#sgr = sgr;
    this.#parts.push(sgr);
  }

  #useLink(link: number): void {
    if (link === this.#link) return;
    this.#link = link;
    this.#parts.push(linkSequence(link, this.state));
  }
}
