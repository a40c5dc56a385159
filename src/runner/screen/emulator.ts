/**
 * The terminal emulator that follows a session's output, and all that we read of its inside. Its public interface tells
 * what is in the cells; where the saved cursor is, which margins, tab stops and character sets hold, only its own fields
 * know. The version is pinned exactly in package.json for this reason, and test/runner/screen.test.ts fails when they move.
 */
import { createRequire } from 'node:module';
import type { IBufferCell, Terminal } from '@xterm/headless';
import { MAX_COLS } from '../../kernel/terminal.js';

const require = createRequire(import.meta.url);
const headless = require('@xterm/headless') as { readonly Terminal: typeof Terminal };

/** Lines above the screen that a snapshot has. */
export const SCROLLBACK_LINES = 1000;

/** What is printed from here on, or was when the cursor was saved; cells have the same. */
export type Attributes = Pick<
  IBufferCell,
  | 'isBold'
  | 'isDim'
  | 'isItalic'
  | 'isUnderline'
  | 'isBlink'
  | 'isInverse'
  | 'isInvisible'
  | 'isStrikethrough'
  | 'isOverline'
  | 'isFgRGB'
  | 'isFgPalette'
  | 'getFgColorMode'
  | 'getFgColor'
  | 'isBgRGB'
  | 'isBgPalette'
  | 'isBgDefault'
  | 'getBgColorMode'
  | 'getBgColor'
> & {
  getUnderlineStyle(): number;
  hasExtendedAttrs(): number;
  /** Colour, style and all that is true of a cell beyond that; meaningful for a cell that has any. */
  readonly extended: { readonly underlineColor: number; readonly urlId: number; readonly _ext: number };
  readonly fg: number;
};

/** Glyphs that replace ASCII; undefined is ASCII itself. */
export type Charset = Readonly<Record<string, string>> | undefined;

/** One of the two buffers, normal or alternate. */
export interface BufferState {
  readonly x: number;
  readonly y: number;
  readonly ybase: number;
  readonly scrollTop: number;
  readonly scrollBottom: number;
  readonly savedX: number;
  /** Counted from the first line of the scrollback. */
  readonly savedY: number;
  readonly savedCurAttrData: Attributes;
  readonly savedCharset: Charset;
  /** Columns that have a stop; null before the first one is needed. */
  readonly tabs: Readonly<Record<number, boolean>>;
}

export interface EmulatorState {
  readonly buffers: { readonly normal: BufferState; readonly alt: BufferState };
  readonly coreService: {
    readonly isCursorHidden: boolean;
    readonly decPrivateModes: { readonly cursorStyle?: string; readonly cursorBlink?: boolean };
  };
  readonly coreMouseService: { readonly activeEncoding: string };
  readonly _charsetService: {
    /** Which of the four sets is shifted in. */
    readonly glevel: number;
    readonly _charsets: readonly Charset[];
    /** The one in force, which a restored cursor brings along. */
    readonly charset: Charset;
  };
  readonly _oscLinkService: {
    /** Of a cell's `urlId`; undefined once nothing refers to it. */
    getLinkData(urlId: number): { readonly id?: string; readonly uri: string } | undefined;
  };
  readonly _inputHandler: { readonly _windowTitle: string; readonly _curAttrData: Attributes };
}

/** Sequences that do something as often as they say: repeat a character, scroll, insert and delete lines, tab. */
const REPEATING = ['b', 'S', 'T', 'L', 'M', 'I', 'Z'].map((final) => ({ final }));
/** As often as the largest terminal has columns; the emulator would go on for ever, or take gigabytes. */
const MAX_REPEAT = MAX_COLS;
/** Marks that one character can carry when it is repeated. */
const REPEATED_CELL = 32;

/** A reset terminal that draws nowhere. What no program means, and would take long or much memory, it leaves out. */
export function createEmulator(cols: number, rows: number): Terminal {
  const options = { cols, rows, scrollback: SCROLLBACK_LINES, allowProposedApi: true, logLevel: 'off' } as const;
  const terminal = new headless.Terminal(options);
  for (const sequence of REPEATING) {
    terminal.parser.registerCsiHandler(sequence, (params) => {
      const count = params[0];
      if (typeof count === 'number' && count > MAX_REPEAT) return true;
      return sequence.final === 'b' && lastCellLength(terminal) > REPEATED_CELL;
    });
  }
  return terminal;
}

/** How long the text of the cell before the cursor is: marks join their character without end. */
function lastCellLength(terminal: Terminal): number {
  const { active } = terminal.buffer;
  const line = active.getLine(active.baseY + active.cursorY);
  const before = Math.min(active.cursorX, terminal.cols) - 1;
  const cell = line?.getCell(before);
  return (cell?.getWidth() === 0 ? line?.getCell(before - 1) : cell)?.getChars().length ?? 0;
}

/** What only the emulator's own fields tell. */
export function stateOf(terminal: Terminal): EmulatorState {
  return (terminal as unknown as { readonly _core: EmulatorState })._core;
}

/** Feeds output; resolves when it is on the screen. */
export function feed(terminal: Terminal, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    terminal.write(bytes, resolve);
  });
}
